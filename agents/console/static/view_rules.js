// The rules of the ontology in force: what each means, and switching one on or off.
import { h, toast } from "./dom.js";
import { get, post } from "./api.js";
import { ask, reason } from "./dialogs.js";
import { store } from "./store.js";

export class RulesView {
  title = "Rules";

  mount(host) {
    const titles = ["Rule", "State", "Meaning", "File", ...(store.operator ? [""] : [])];
    this.body = h("tbody");
    host.append(
      h("p", { class: "muted" }, "SWRL rules, as the ontology agent has them in force. A switch outlasts edits of the files, and what is made from the attack models anew."),
      h("div", { class: "scroll", tabindex: "0" }, h("table", { class: "rules" },
        h("thead", null, h("tr", null, titles.map((t) => h("th", { scope: "col" }, t)))), this.body)));
    this.say("Asking the ontology agent …");
    this.load();
  }

  async load() {
    try {
      const { rules } = await get("ontology/rules");
      if (rules.length) this.body.replaceChildren(...rules.map((rule) => this.row(rule)));
      else this.say("No ontology is in force.");
    } catch (problem) {
      this.say(problem.message);
    }
  }

  say(text) {
    this.body.replaceChildren(h("tr", null, h("td", { colspan: 5, class: "muted", role: "status" }, text)));
  }

  row(rule) {
    const word = rule.enabled ? "Switch off" : "Switch on";
    return h("tr", { data: { rule: rule.label } },
      h("td", { class: "wrap" }, rule.enabled ? h("b", null, rule.label) : h("span", { class: "muted" }, rule.label)),
      h("td", { title: rule.switched_by || null }, rule.enabled ? "on" : "off", rule.switched_by ? ", by hand" : ""),
      h("td", { class: "wrap" }, rule.meaning),
      h("td", null, rule.file),
      store.operator && h("td", null, h("button", { type: "button", class: "small", "aria-label": `${word}: ${rule.label}`, onclick: () => this.dialog(rule, word) }, word)));
  }

  dialog(rule, word) {
    ask(`${word}: ${rule.label}?`, [
      h("p", null, rule.meaning),
      h("p", { class: "muted" }, rule.enabled
        ? "It concludes nothing any more, on no host, until it is switched on again. Blocks that are in force stay."
        : "It is in force on every host as soon as the ontology agent has checked it."),
      reason("too many false alarms…"),
    ], {
      submit: word, kind: rule.enabled ? "danger" : "primary",
      send: async (data) => {
        const now = await post(`ontology/rules/${encodeURIComponent(rule.label)}`, { enabled: !rule.enabled, reason: data.get("reason") });
        toast(`${rule.label} is ${rule.enabled ? "off" : "on"}: ${now.detail}`);
        await this.load();
      },
    });
  }

  update() {}

  unmount() {}
}
