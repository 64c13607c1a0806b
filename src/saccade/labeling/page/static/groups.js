// Groups of similar images, which are named at once.

import { image, post } from "./api.js";
import { byId, classOfKey, counted, isClassKey, make, notify, showClasses } from "./dom.js";

let group = null;
let classes = [];
let last = null;
let busy = false;

/** Begin. */
export function start() {
  byId("group-skip").addEventListener("click", skip);
  byId("group-all").addEventListener("click", toggleAll);
  byId("group-undo").addEventListener("click", undo);
}

/** Show the classes. */
export function setClasses(names) {
  classes = names;
  showClasses(byId("group-choices"), classes, [], nameGroup);
}

/** Show the next group. */
export const open = () => (group ? undefined : load("api/groups/next"));

/** Handle a key; return whether it had a meaning. */
export function onKey(key) {
  const name = classOfKey(classes, key);
  if (name !== null) nameGroup(name);
  else if (isClassKey(key)) notify(`No class has the key ${key.toUpperCase()}. Enter begins the name of a class.`);
  else if (key === "Backspace") undo();
  else return false;
  return true;
}

/** Name the images of the group that were not taken out. */
export async function nameGroup(label) {
  if (!group || busy) return;
  const chosen = group.images.filter((_, at) => !isOut(at)).flat();
  if (!chosen.length) { notify("All images are taken out."); return; }
  busy = true;
  try {
    const { labeled } = await post("api/groups/label", { images: chosen, label });
    last = chosen;
    notify(`${counted(labeled, "image")}: ${label}`);
    await load("api/groups/next");
  } catch (failure) {
    notify(failure.message);
  }
  busy = false;
}

async function undo() {
  if (!last || busy) return;
  busy = true;
  try {
    const { labeled } = await post("api/groups/label", { images: last, label: null });
    notify(`Without a label again: ${counted(labeled, "image")}.`);
    last = null;
    byId("group-undo").disabled = true;
  } catch (failure) {
    notify(failure.message);
  }
  busy = false;
}

async function skip() {
  const before = JSON.stringify(group?.images);
  await load("api/groups/skip");
  if (group && JSON.stringify(group.images) === before) notify("There is no other group now.");
}

/** Take all images out of the group, or put all back. */
function toggleAll() {
  const buttons = [...byId("group").querySelectorAll("button")];
  const out = String(buttons.some((button) => button.getAttribute("aria-pressed") === "false"));
  for (const button of buttons) button.setAttribute("aria-pressed", out);
}

const isOut = (at) => byId("group").children[at].firstChild.getAttribute("aria-pressed") === "true";

async function load(path) {
  try {
    group = (await post(path)).group;
  } catch (failure) {
    notify(failure.message);
    return;
  }
  byId("group-undo").disabled = !last;
  const empty = byId("group-empty");
  empty.hidden = Boolean(group);
  empty.textContent = group ? "" : "There is no group to name: all images have a label, or the labels are frozen for the promise.";
  byId("group").replaceChildren(...(group?.images ?? []).map(tile));
}

function tile(duplicates, at) {
  const button = make("button", { type: "button", "aria-pressed": "false", "aria-label": `image ${at + 1}; press to take it out` });
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  });
  image(`thumbnails/${duplicates[0]}`, "").then((element) => button.prepend(element), (failure) => notify(failure.message));
  if (duplicates.length > 1) button.append(make("span", { class: "duplicates" }, `all ${duplicates.length}`));
  return make("li", {}, button);
}
