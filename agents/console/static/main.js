// The console's page: puts store, router and views together.
import { $ } from "./dom.js";
import { post } from "./api.js";
import { addDialog, extendDialog, liftDialog, sheet, shortenDialog, undoDialog, verdictDialog } from "./dialogs.js";
import { waits } from "./block_columns.js";
import { Router } from "./router.js";
import { store } from "./store.js";
import { follow } from "./stream.js";
import { bindTheme } from "./theme.js";
import { mount, unmount } from "./views.js";
import { AgentsView } from "./view_agents.js";
import { AlertView } from "./view_alert.js";
import { BlocksView } from "./view_blocks.js";
import { ClustersView } from "./view_clusters.js";
import { DetailView } from "./view_detail.js";
import { FeedView } from "./view_feed.js";
import { HeaderView } from "./view_header.js";
import { KeysView } from "./view_keys.js";
import { MessagesView } from "./view_messages.js";
import { RulesView } from "./view_rules.js";

await store.start();

// A view in a sheet over the page.
function inSheet(View) {
  let shown = null;
  return {
    open(closed) {
      const view = new View();
      const { dialog, host } = sheet(view.title, () => { unmount(view); shown = null; closed(); });
      shown = dialog;
      mount(view, host);
    },
    close() {
      shown?.close();
    },
  };
}

const router = new Router(["blocks", "ended"], {
  agents: inSheet(AgentsView), alert: inSheet(AlertView), clusters: inSheet(ClustersView), messages: inSheet(MessagesView), rules: inSheet(RulesView), keys: inSheet(KeysView),
});
const show = (name) => () => router.go({ name });
const actions = {
  lift: (b) => store.operator && b?.state === "active" && liftDialog(b, store.me),
  extend: (b) => store.operator && b?.state === "active" && extendDialog(b, store.me),
  shorten: (b) => store.operator && b?.state === "active" && shortenDialog(b),
  approve: (b) => store.operator && b && waits(b) && verdictDialog(b, "approve", store.me),
  veto: (b) => store.operator && b && waits(b) && verdictDialog(b, "veto", store.me),
  undo: () => store.operator && undoDialog(),
  add: () => store.operator && addDialog(store.me, (b) => { store.apply({ blocks: [b] }); router.go({ name: "blocks", id: b.id }); }),
  close: () => router.go({ name: router.page.name }, { replace: true }),
};
const blocks = new BlocksView(router, actions);

router.start();
mount(new HeaderView(), document.body);
mount(blocks, $("#grid"));
mount(new FeedView(), $("#feed"));
mount(new DetailView(actions), $("#detail"));
bindTheme($("#theme"));
for (const name of ["agents", "clusters", "rules", "messages"]) $(`#${name}`).addEventListener("click", show(name));
$("#help").addEventListener("click", show("keys"));
$("#logout").addEventListener("click", async () => { await post("logout"); location.assign("/login"); });

follow({ read: () => store.read(), apply: (c) => store.stream(c), time: (t) => store.setTime(t), state: (s) => store.setLink(s) });

const keys = {
  j: () => blocks.move(1),
  k: () => blocks.move(-1),
  l: () => actions.lift(blocks.current),
  e: () => actions.extend(blocks.current),
  s: () => actions.shorten(blocks.current),
  a: () => actions.approve(blocks.current),
  v: () => actions.veto(blocks.current),
  u: actions.undo,
  b: actions.add,
  h: () => blocks.toggle(),
  c: show("clusters"),
  m: show("messages"),
  "/": () => $("#filter").focus(),
  "?": show("keys"),
};
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
  if (e.target.matches("input, select, textarea")) {
    if (e.key === "Escape") e.target.blur();
    return;
  }
  if (e.key === "Escape" && router.page.id) actions.close();
  if (!keys[e.key]) return;
  e.preventDefault();
  keys[e.key]();
});
