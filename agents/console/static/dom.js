// Elements from data. Text only ever becomes text nodes: what attackers write stays what it is.
export const $ = (selector) => document.querySelector(selector);

export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "onclick" || name === "onsubmit") element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function say(text) {
  $("#said").textContent = text;
}

export function toast(text, kind = "") {
  const note = h("p", { class: `toast ${kind}`, role: kind === "bad" ? "alert" : "status" }, text);
  $("#toasts").append(note);
  setTimeout(() => note.remove(), kind === "bad" ? 8000 : 4000);
}
