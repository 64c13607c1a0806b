// The results: a card for each image, with its prediction or an error.

import { announce, byId, element, nameElement, showProblem } from "./dom.js";
import { explanation } from "./heatmap.js";
import { selectedModel, models } from "./models.js";
import { count, distinctPercents, percent, probability, shortPercent } from "./format.js";
import { inTurn, requestForImage } from "./api.js";

const MAX_CLASSES = 5; // per prediction
const SMALL_SIDE = 128; // pixels: smaller images are scaled up without smoothing

/** Add a card for each file, newest first, and request the predictions. */
export function addImages(files) {
  if (!models.length) return;
  showProblem("");
  const cards = [...files].map((file) => createCard(file, selectedModel()));
  byId("predictions").prepend(...cards.map((card) => card.article));
  cards.forEach(predict);
}

function createCard(file, model) {
  const url = URL.createObjectURL(file);
  const image = element("img", { src: url, alt: `The image ${file.name}` });
  const stage = element("div", { className: "stage" }, image);
  const body = element("div");
  const article = element("article", { className: "prediction", ariaLabel: file.name, tabIndex: -1 }, stage, body);
  const card = { file, model, article, stage, image, body, controller: new AbortController() };
  image.addEventListener("load", () => {
    stage.style.setProperty("--aspect-ratio", image.naturalWidth / image.naturalHeight);
    image.classList.toggle("small", Math.min(image.naturalWidth, image.naturalHeight) < SMALL_SIDE);
  });
  image.addEventListener("error", () => { // not an image, or of a format that this browser does not support
    stage.hidden = true;
    article.classList.add("imageless");
  });
  card.remove = element("button", { type: "button", textContent: "Remove", ariaLabel: `Remove ${file.name}` });
  card.remove.addEventListener("click", () => {
    card.controller.abort();
    URL.revokeObjectURL(url);
    (article.nextElementSibling?.querySelector("button") ?? byId("files")).focus();
    article.remove();
  });
  return card;
}

/** Replace the text of a card: heading, names of file and model, and further elements. */
function fill(card, heading, ...rest) {
  const source = element("p", { className: "source quiet" }, nameElement(card.file.name));
  if (models.length > 1) source.append(", classified by ", nameElement(card.model.name));
  const hadFocus = document.activeElement === card.remove;
  card.body.replaceChildren(heading, source, ...rest);
  if (hadFocus) card.remove.focus(); // moving the button removes its focus
}

async function predict(card) {
  const wait = element("p");
  const buttons = element("div", { className: "buttons" }, card.remove);
  fill(card, element("h2", { textContent: "Classifying…" }), wait, buttons);
  card.article.ariaBusy = "true";
  const top = Math.min(MAX_CLASSES, card.model.class_names.length);
  const { signal } = card.controller;
  const onWait = (text) => {
    wait.textContent = text;
    announce(`${card.file.name}: ${text}`);
  };
  try {
    const content = await inTurn(() => (signal.aborted ? null : requestForImage(card, `image?top=${top}`, onWait)));
    if (!signal.aborted) showPrediction(card, content);
  } catch (error) {
    if (!signal.aborted) showFailure(card, error);
  }
  card.article.ariaBusy = "false";
}

function showFailure(card, error) {
  const retry = element("button", { type: "button", textContent: "Try again", hidden: !error.retryable });
  retry.addEventListener("click", () => {
    card.article.focus(); // because this button is removed
    predict(card);
  });
  fill(
    card,
    element("h2", { className: "error", textContent: "No prediction" }),
    element("p", { className: "reason", textContent: error.message }),
    element("div", { className: "buttons" }, retry, card.remove),
  );
  announce(`${card.file.name}: no prediction. ${error.message}`);
}

function showPrediction(card, { abstained, classes, is_ood: unlike, ood_p_value: pValue }) {
  const { class_name: name, probability: confidence } = classes[0];
  const badge = element("span", { className: "abstained", textContent: "Abstained" });
  const heading = abstained
    ? [badge, " perhaps ", nameElement(name)]
    : [nameElement(name), ` ${probability(confidence)}`];
  const note = (text, className = "quiet") => element("p", { className, textContent: text });
  card.article.classList.toggle("is-abstained", abstained);
  fill(
    card,
    element("h2", {}, ...heading),
    unlike ? note(`Unlike the training images: ${reasonForOod(pValue)}`, "meaning") : "",
    abstained ? note(reasonForAbstention(card.model, confidence), "meaning") : "",
    element("ol", { className: "classes", ariaLabel: "Classes and their probabilities" }, ...classes.map(classRow)),
    note(otherClasses(card.model, classes)),
    card.model.calibrated ? "" : note("Not calibrated: use these probabilities only to rank the classes."),
    ...explanation(card),
  );
  announce(`${card.file.name}: ${abstained ? "abstained, perhaps " : ""}${name}, ${probability(confidence)}${unlike ? "; unlike the training images" : ""}`);
}

function otherClasses({ class_names: names }, classes) {
  const others = names.length - classes.length;
  const total = probability(classes.reduce((rest, { probability: value }) => rest - value, 1));
  if (others === 0) return "";
  return others === 1 ? `1 other class: ${total}` : `${count(others)} other classes: ${total} together`;
}

function reasonForOod(pValue) {
  return `${percent(pValue)} of the validation images are at least as unusual. The classes may not fit.`;
}

function reasonForAbstention({ confidence_threshold: threshold, target_accuracy: target }, confidence) {
  if (threshold === null) return "The confidence is too low for a prediction.";
  const [found, required] = distinctPercents(confidence, threshold);
  return `Its ${found} is below the ${required} from which ${shortPercent(target)} of the predictions are correct.`;
}

function classRow({ class_name: name, probability: value }) {
  const filled = element("div");
  filled.style.width = percent(value, 2);
  const bar = element("div", { className: "bar", ariaHidden: "true" }, filled);
  return element("li", {}, nameElement(name), ` ${probability(value)}`, bar);
}
