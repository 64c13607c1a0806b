// The models: list, selection and metadata, and the region of an image that is the input of a model.

import { byId, element, nameElement } from "./dom.js";
import { count, percent, shortPercent } from "./format.js";
import { request } from "./api.js";

const MAX_CLASS_NAMES = 100; // in the metadata of a model
const FITS = {
  crop: "center crop of the image",
  pad: "whole image, padded at the edges",
  squash: "whole image, with the aspect ratio of the input",
};
const NOT_EVALUATED = "not evaluated yet";

export let models = [];
export const selectedModel = () => models[byId("model").selectedIndex];

/** Request the models of the server, and show the selected one. */
export async function loadModels() {
  byId("again").hidden = true;
  try {
    ({ models } = await request("api/models"));
  } catch (error) {
    byId("summary").textContent = error.message;
    byId("summary").className = "error";
    byId("again").hidden = false;
    return;
  }
  byId("summary").className = "quiet";
  const titles = models.map(({ name, version }) => `${name}, version ${version}`);
  byId("model").replaceChildren(...titles.map((textContent) => element("option", { textContent })));
  byId("choice").hidden = models.length < 2;
  byId("input").hidden = byId("about").hidden = false;
  showModel();
}

function showModel() {
  const model = selectedModel();
  const { test, class_names: names } = model;
  byId("summary").replaceChildren(
    "The model ",
    element("strong", { className: "name", textContent: model.name }),
    ` has ${count(names.length)} classes; `,
    test ? `its accuracy is ${accuracyOf(model)}.` : `${NOT_EVALUATED}.`,
  );
  const rows = metadataOf(model).map(([label, ...value]) => [
    element("dt", { textContent: label }),
    element("dd", {}, ...value),
  ]);
  byId("metadata").replaceChildren(...rows.flat());
  byId("card").hidden = !model.card;
  byId("card-text").textContent = model.card ?? "";
}

/** Return rows of a label and its content. */
function metadataOf(model) {
  const { width, height, fit, tta_views } = model;
  const tta = tta_views === 1 ? "no test-time augmentation" : `test-time augmentation with ${tta_views} views`;
  return [
    ["name", nameElement(model.name), `, version ${model.version}`],
    ["data", nameElement(model.data)],
    ["recipe", model.recipe === null ? "unknown" : nameElement(model.recipe)],
    ["classes", ...classesOf(model)],
    ["accuracy", accuracyOf(model)],
    ["calibration", calibrationOf(model)],
    ["abstention", abstentionOf(model)],
    ["input", `${FITS[fit]}, ${width}x${height} pixels, ${tta}`],
    ["fingerprint", element("code", { textContent: model.weights })],
    ["versions", Object.entries(model.versions).map((pair) => pair.join(" ")).join(", ")],
  ];
}

function classesOf({ class_names: names }) {
  const more = names.length - MAX_CLASS_NAMES;
  const listed = names.slice(0, MAX_CLASS_NAMES).flatMap((name, index) => [index ? ", " : "", nameElement(name)]);
  return [`${count(names.length)}: `, ...listed, more > 0 ? ` and ${count(more)} more` : ""];
}

function accuracyOf({ test }) {
  if (!test) return NOT_EVALUATED;
  const interval = `95% interval ${percent(test.low)} to ${percent(test.high)}`;
  return `${percent(test.accuracy)} (${interval}, n = ${count(test.num_images)} test images)`;
}

function calibrationOf({ calibrated, temperature }) {
  if (!calibrated) return "none: its probabilities were never compared with true labels";
  const meaning =
    "of predictions with probability 80%, about 80% should be correct, for images like the training images";
  return `temperature ${Number(temperature.toPrecision(3))}: ${meaning}`;
}

function abstentionOf({ confidence_threshold: threshold, target_accuracy: target }) {
  if (threshold === null) return "never: the server was started without --abstain";
  return `below ${percent(threshold)}; from there on ${shortPercent(target)} of the predictions are correct`;
}

/**
 * Place an overlay on the region that is the input of a model: the center crop; with fit "pad" the image and its
 * edges; with fit "squash" the image. Return whether the region is smaller than the image.
 */
export function positionOverlay(overlay, width, height, model) {
  const ratios = [width / model.width, height / model.height];
  const scale = { crop: Math.min(...ratios), pad: Math.max(...ratios) }[model.fit];
  const inputWidth = scale ? (100 * scale * model.width) / width : 100; // percent of the image
  const inputHeight = scale ? (100 * scale * model.height) / height : 100;
  const box = { left: (100 - inputWidth) / 2, top: (100 - inputHeight) / 2, width: inputWidth, height: inputHeight };
  for (const [name, value] of Object.entries(box)) overlay.style[name] = `${value}%`;
  return inputWidth < 99.5 || inputHeight < 99.5;
}

byId("model").addEventListener("change", showModel);
byId("again").addEventListener("click", loadModels);
