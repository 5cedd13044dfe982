// Dark, light, or as the system says; remembered in this browser.
const KEY = "ontoidps-theme";
const ORDER = ["auto", "dark", "light"];
const SIGN = { auto: "◐", dark: "●", light: "○" };
const root = document.documentElement;

let theme = ORDER.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "auto";
root.dataset.theme = theme;

export function bindTheme(button) {
  const show = () => {
    root.dataset.theme = theme;
    button.textContent = SIGN[theme];
    const label = `Theme: ${theme}`;
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  button.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    localStorage.setItem(KEY, theme);
    show();
  });
  show();
}
