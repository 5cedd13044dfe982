// A keyed table of any length: only the rows in view are in the page.
import { h } from "./dom.js";

export class Table {
  // rows: a Map of the store, read at each `touch`; columns: [{ title, name, make() -> element, fill(element, row) }]
  constructor(host, { rows, columns, label, empty, order, onSelect, onOpen }) {
    Object.assign(this, { host, rows, columns, order, onSelect, onOpen });
    this.view = [];
    this.drawn = new Map();
    this.selected = null;
    this.match = () => true;
    this.frozen = false;
    this.asked = false;
    this.body = h("div", { class: "rows", role: "grid", tabindex: "0", "aria-label": label });
    this.space = h("div", { class: "space", role: "presentation" });
    this.empty = h("p", { class: "empty", hidden: true }, empty);
    this.fresh = h("button", { class: "fresh", type: "button", hidden: true });
    this.body.append(this.space);
    host.replaceChildren(
      h("div", { class: "heads row", "aria-hidden": "true" }, columns.map((c) => h("span", { class: c.name }, c.title))),
      this.body, this.empty, this.fresh,
    );
    this.body.addEventListener("scroll", () => this.draw(), { passive: true });
    this.resized = new ResizeObserver(() => this.touch());
    this.resized.observe(this.body);
    // Rows must not move under the pointer: what is new waits until it has left.
    this.body.addEventListener("pointerenter", (e) => { this.frozen = e.pointerType === "mouse"; });
    this.body.addEventListener("pointerleave", () => this.thaw());
    this.fresh.addEventListener("click", () => { this.thaw(); this.body.scrollTop = 0; });
    this.body.addEventListener("click", (e) => {
      const row = e.target.closest("[data-key]");
      if (!row) return;
      this.select(row.dataset.key);
      const action = e.target.closest("[data-action]");
      if (action) this.onOpen(action.dataset.action, row.dataset.key);
    });
    this.body.addEventListener("keydown", (e) => this.key(e));
  }

  close() {
    this.resized.disconnect();
  }

  thaw() {
    this.frozen = false;
    this.touch();
  }

  filter(match) {
    this.match = match;
    this.frozen = false;
    this.touch();
  }

  get current() {
    return this.selected === null ? null : this.rows.get(this.selected) ?? null;
  }

  select(key, { reveal = false } = {}) {
    if (key !== this.selected) {
      this.selected = key;
      this.onSelect(key);
    }
    if (reveal) {
      const i = this.view.indexOf(key);
      const top = i * this.height;
      if (i >= 0 && top < this.body.scrollTop) this.body.scrollTop = top;
      else if (i >= 0 && top + this.height > this.body.scrollTop + this.body.clientHeight) {
        this.body.scrollTop = top + this.height - this.body.clientHeight;
      }
    }
    this.touch();
  }

  move(step) {
    const i = this.view.indexOf(this.selected);
    const next = i < 0 ? 0 : Math.min(this.view.length - 1, Math.max(0, i + step));
    if (this.view[next]) this.select(this.view[next], { reveal: true });
  }

  key(e) {
    const page = Math.max(1, Math.floor(this.body.clientHeight / this.height) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(e.key in steps)) return;
    this.move(steps[e.key]);
    e.preventDefault();
  }

  // What a row shows depends on more than the row, and that has changed.
  refill() {
    for (const line of this.drawn.values()) line.row = null;
    this.touch();
  }

  touch() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.arrange();
      this.draw();
    });
  }

  arrange() {
    const wanted = [];
    for (const row of this.rows.values()) if (this.match(row)) wanted.push(row);
    let waiting = 0;
    if (this.frozen && this.view.length) {
      const old = new Set(this.view);
      waiting = wanted.reduce((n, row) => n + !old.has(row.id), 0);
      this.view = this.view.filter((key) => this.rows.has(key));
    } else {
      wanted.sort(this.order);
      this.view = wanted.map((row) => row.id);
    }
    this.fresh.hidden = waiting === 0;
    this.fresh.textContent = `${waiting} new`;
    this.empty.hidden = this.view.length > 0;
    this.height = Number.parseInt(getComputedStyle(this.host).getPropertyValue("--row"), 10);
    this.space.style.setProperty("height", `${this.view.length * this.height}px`);
    this.body.setAttribute("aria-rowcount", String(this.view.length));
  }

  draw() {
    const { height, body } = this;
    const first = Math.max(0, Math.floor(body.scrollTop / height) - 2);
    const last = Math.min(this.view.length, first + Math.ceil(body.clientHeight / height) + 5);
    const kept = new Set();
    for (let i = first; i < last; i += 1) {
      const key = this.view[i];
      const row = this.rows.get(key);
      kept.add(key);
      let line = this.drawn.get(key);
      if (!line) {
        const cells = this.columns.map((c) => {
          const cell = h("span", { class: c.name, role: "gridcell" });
          if (c.make) cell.append(c.make());
          return cell;
        });
        line = { cells, element: h("div", { role: "row", id: `row-${key}`, data: { key } }, cells), row: null };
        this.drawn.set(key, line);
        body.append(line.element);
      }
      const chosen = key === this.selected;
      line.element.className = `row is-${row.state}`;
      line.element.style.setProperty("top", `${i * height}px`);
      line.element.setAttribute("aria-rowindex", String(i + 1));
      line.element.setAttribute("aria-selected", String(chosen));
      this.columns.forEach((c, n) => {
        if (c.live || line.row !== row) c.fill(line.cells[n], row);
      });
      line.row = row;
      if (chosen) body.setAttribute("aria-activedescendant", `row-${key}`);
    }
    for (const [key, line] of this.drawn) {
      if (!kept.has(key)) {
        line.element.remove();
        this.drawn.delete(key);
      }
    }
    if (!kept.has(this.selected)) body.removeAttribute("aria-activedescendant");
  }
}
