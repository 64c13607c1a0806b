// The decisions so far: listed, searched, changed, with their history.

import { get, image, post } from "./api.js";
import { byId, make, notify } from "./dom.js";

const NAMES = { "?": "not sure", "-": "none of these" };

let classes = [];
let shown = 0;
let onChange = () => {};

/** Begin; `changed` is called after a change. */
export function start(changed) {
  onChange = changed;
  let waiting = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(open, 200);
  });
  byId("more").addEventListener("click", () => load(shown));
}

/** Keep the classes for the lists of labels. */
export function setClasses(names) { classes = names; }

/** Show the first decisions. */
export const open = () => load(0);

async function load(offset) {
  const list = byId("decision-list");
  try {
    const search = encodeURIComponent(byId("search").value);
    const { total, decisions } = await get(`api/decisions?search=${search}&offset=${offset}`);
    if (!offset) { list.replaceChildren(); shown = 0; }
    list.append(...decisions.map(row));
    shown += decisions.length;
    byId("decisions-count").textContent = `${total.toLocaleString("en")} ${total === 1 ? "decision" : "decisions"}`;
    byId("more").hidden = shown >= total;
  } catch (failure) {
    notify(failure.message);
  }
}

function row(decision) {
  const select = make("select", { "aria-label": `label of ${decision.path}` });
  for (const name of [...classes, "?", "-"]) select.append(new Option(NAMES[name] ?? name, name));
  select.value = decision.label;
  select.addEventListener("change", async () => {
    try {
      const message = { question: decision.question, label: select.value, replaces: decision.answer };
      decision.answer = (await post("api/answers", message)).answer;
      notify(`changed: ${decision.path}`);
      onChange();
    } catch (failure) {
      notify(failure.message);
      open();
    }
  });
  const about = make("div", {}, make("div", { class: "path" }, decision.path));
  const lines = decision.history.map(([label, who, time]) => {
    const when = new Date(1000 * time).toLocaleString();
    return make("div", { class: "quiet" }, `${label === null ? "withdrawn" : NAMES[label] ?? label}, ${who}, ${when}`);
  });
  if (lines.length > 1) about.append(make("details", {}, make("summary", {}, `${lines.length} answers`), ...lines));
  else about.append(...lines);
  const item = make("li", {}, about, select);
  image(`thumbnails/${decision.image}`, "").then((element) => item.prepend(element), () => item.prepend(make("span")));
  return item;
}
