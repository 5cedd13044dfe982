// The keyboard: what each key does.
import { h } from "./dom.js";

const KEYS = [["j", "next block"], ["k", "previous block"], ["l", "lift the selected block"], ["e", "extend it"], ["s", "shorten it"], ["b", "block an address"],
  ["a", "approve"], ["v", "veto"], ["u", "undo"], ["/", "filter"], ["h", "active or ended blocks"], ["c", "clusters"], ["m", "messages"], ["Esc", "leave the filter, close"], ["?", "these keys"]];

export class KeysView {
  title = "Keyboard";

  mount(host) {
    host.append(h("dl", { class: "keys" }, KEYS.map(([k, what]) => [h("dt", null, h("kbd", null, k)), h("dd", null, what)])));
  }

  update() {}

  unmount() {}
}
