// The models: which there are, which one is chosen, what is said of it, and which part of an image it sees.

import { byId, element, named } from "./dom.js";
import { count, percent, short } from "./format.js";
import { request } from "./api.js";

const MOST_NAMES = 100; // classes named in the metadata of a model
const NOT_EVALUATED = "not evaluated yet";

export let models = [];
export const chosen = () => models[byId("model").selectedIndex];

export async function findModels() {
  byId("again").hidden = true;
  try {
    ({ models } = await request("api/models"));
  } catch (problem) {
    byId("summary").textContent = problem.message;
    byId("summary").className = "wrong";
    byId("again").hidden = false;
    return;
  }
  byId("summary").className = "quiet";
  const titles = models.map(({ name, version }) => `${name}, version ${version}`);
  byId("model").replaceChildren(...titles.map((textContent) => element("option", { textContent })));
  byId("choice").hidden = models.length < 2;
  byId("give").hidden = byId("about").hidden = false;
  showModel();
}

function showModel() {
  const model = chosen();
  const { test, class_names: names } = model;
  byId("summary").replaceChildren(
    "The model ",
    element("strong", { className: "name", textContent: model.name }),
    ` tells ${count(names.length)} classes apart; `,
    test ? `${percent(test.accuracy)} of its answers to test images are right.` : `${NOT_EVALUATED}.`,
  );
  const rows = metadataOf(model).map(([name, ...value]) => [
    element("dt", { textContent: name }),
    element("dd", {}, ...value),
  ]);
  byId("metadata").replaceChildren(...rows.flat());
  byId("card").hidden = !model.card;
  byId("card-text").textContent = model.card ?? "";
}

/** Rows of a name and what is said of it. */
function metadataOf(model) {
  const { width, height, tta_views } = model;
  return [
    ["name", named(model.name), `, version ${model.version}`],
    ["data", named(model.data)],
    ["recipe", model.recipe === null ? "not told" : named(model.recipe)],
    ["classes", ...classesOf(model)],
    ["accuracy", accuracyOf(model)],
    ["calibration", calibrationOf(model)],
    ["abstained", abstentionOf(model)],
    ["sees", `the middle of an image, ${width}x${height} pixels, in ${tta_views} ${tta_views === 1 ? "view" : "views"}`],
    ["fingerprint", element("code", { textContent: model.weights })],
    ["versions", Object.entries(model.versions).map((pair) => pair.join(" ")).join(", ")],
  ];
}

function classesOf({ class_names: names }) {
  const more = names.length - MOST_NAMES;
  const listed = names.slice(0, MOST_NAMES).flatMap((name, at) => [at ? ", " : "", named(name)]);
  return [`${count(names.length)}: `, ...listed, more > 0 ? ` and ${count(more)} more` : ""];
}

function accuracyOf({ test }) {
  if (!test) return NOT_EVALUATED;
  const interval = `95% interval ${percent(test.low)} to ${percent(test.high)}`;
  return `${percent(test.accuracy)}, ${interval}, of ${count(test.num_images)} test images`;
}

function calibrationOf({ calibrated, temperature }) {
  if (!calibrated) return "none: its probabilities were never held against the truth";
  const meaning = "of answers given 80%, about 80% should be right, for images like those it was trained on";
  return `temperature ${Number(temperature.toPrecision(3))}: ${meaning}`;
}

function abstentionOf({ confidence_threshold: least, target_accuracy: target }) {
  if (least === null) return "never: it was not asked to say so";
  return `below ${percent(least)}; from there on ${short(target)} of the predictions are correct`;
}

/** Lays something over the part of an image that the network sees: the middle, cut to the model's shape. */
export function layOver(part, width, height, model) {
  const scale = Math.min(width / model.width, height / model.height);
  const [across, down] = [(100 * scale * model.width) / width, (100 * scale * model.height) / height];
  const place = { left: (100 - across) / 2, top: (100 - down) / 2, width: across, height: down };
  for (const [name, value] of Object.entries(place)) part.style[name] = `${value}%`;
  return across < 99.5 || down < 99.5; // whether something is cut off
}

byId("model").addEventListener("change", showModel);
byId("again").addEventListener("click", findModels);
