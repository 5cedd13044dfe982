// The one router. What is open stands in the address: "#/blocks/ID", "#/ended", "#/clusters".
// A page lies below, a sheet over it; closing a sheet leads back to the page.
import { setRoute } from "./views.js";

const PREFIX = "urn:uuid:";

export class Router {
  // pages: names of routes of the page; sheets: name -> { open(close), close() }
  constructor(pages, sheets) {
    Object.assign(this, { pages, sheets });
    this.page = { name: pages[0], id: null };
    this.sheet = null;
  }

  start() {
    addEventListener("hashchange", () => this.follow());
    setRoute(this.page); // below a sheet that the address opens at once
    this.follow();
  }

  static parse(hash) {
    const [name, id] = hash.replace(/^#\//, "").split("/");
    try {
      return { name, id: id ? PREFIX + decodeURIComponent(id) : null };
    } catch {
      return { name, id: null };
    }
  }

  static path({ name, id }) {
    return `#/${name}${id ? `/${encodeURIComponent(id.replace(PREFIX, ""))}` : ""}`;
  }

  // replace: a step on the same page, which "back" need not repeat.
  go(route, { replace = false } = {}) {
    const path = Router.path(route);
    if (path === location.hash) return;
    if (replace) {
      history.replaceState(null, "", path);
      this.follow();
    } else {
      location.hash = path;
    }
  }

  follow() {
    const route = Router.parse(location.hash);
    const sheet = route.name in this.sheets ? route.name : null;
    if (sheet !== this.sheet) {
      const before = this.sheet;
      this.sheet = sheet;
      if (before) this.sheets[before].close();
      if (sheet) this.sheets[sheet].open(() => this.closed(sheet));
    }
    if (!sheet) {
      this.page = this.pages.includes(route.name) ? route : { name: this.pages[0], id: null };
      setRoute(this.page);
    }
  }

  // The sheet was closed by hand: the address follows.
  closed(sheet) {
    if (this.sheet === sheet) this.go(this.page);
  }
}
