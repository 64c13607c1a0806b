// The answers: a card for each image, from the moment that it came in.

import { announce, byId, element, named, showProblem } from "./dom.js";
import { explanation } from "./heatmap.js";
import { chosen, models } from "./models.js";
import { apart, count, percent, probability, short } from "./format.js";
import { ask, inTurn } from "./api.js";

const MOST_CLASSES = 5; // shown of an answer
const SMALL = 128; // pixels: an image with less is shown with its pixels as squares, not blurred

/** Shows a card for each file and asks about them; the newest are on top. */
export function addImages(files) {
  if (!models.length) return;
  showProblem("");
  const cards = [...files].map((file) => makeCard(file, chosen()));
  byId("predictions").prepend(...cards.map((card) => card.article));
  cards.forEach(predict);
}

function makeCard(file, model) {
  const address = URL.createObjectURL(file);
  const image = element("img", { src: address, alt: `The image ${file.name}` });
  const stage = element("div", { className: "stage" }, image);
  const body = element("div");
  const article = element("article", { className: "prediction", ariaLabel: file.name, tabIndex: -1 }, stage, body);
  const card = { file, model, article, stage, image, body, ended: new AbortController() };
  image.addEventListener("load", () => {
    stage.style.setProperty("--shape", image.naturalWidth / image.naturalHeight);
    image.classList.toggle("small", Math.min(image.naturalWidth, image.naturalHeight) < SMALL);
  });
  image.addEventListener("error", () => { // no image, or of a format that this browser does not know
    stage.hidden = true;
    article.classList.add("imageless");
  });
  card.remove = element("button", { type: "button", textContent: "Remove", ariaLabel: `Remove ${file.name}` });
  card.remove.addEventListener("click", () => {
    card.ended.abort();
    URL.revokeObjectURL(address);
    (article.nextElementSibling?.querySelector("button") ?? byId("files")).focus();
    article.remove();
  });
  return card;
}

/** Fills a card's side that holds words: a heading, what it is of, and what follows. */
function fill(card, heading, ...rest) {
  const of = element("p", { className: "of quiet" }, named(card.file.name));
  if (models.length > 1) of.append(", asked of ", named(card.model.name));
  const focused = document.activeElement === card.remove;
  card.body.replaceChildren(heading, of, ...rest);
  if (focused) card.remove.focus(); // which it lost by being moved
}

async function predict(card) {
  const wait = element("p");
  fill(card, element("h2", { textContent: "Looking…" }), wait, element("div", { className: "buttons" }, card.remove));
  card.article.ariaBusy = "true";
  const top = Math.min(MOST_CLASSES, card.model.class_names.length);
  const onWait = (text) => {
    wait.textContent = text;
    announce(`${card.file.name}: ${text}`);
  };
  try {
    const content = await inTurn(() => (card.ended.signal.aborted ? null : ask(card, `image?top=${top}`, onWait)));
    if (!card.ended.signal.aborted) showPrediction(card, content);
  } catch (problem) {
    if (!card.ended.signal.aborted) showFailure(card, problem);
  }
  card.article.ariaBusy = "false";
}

function showFailure(card, problem) {
  const retry = element("button", { type: "button", textContent: "Try again", hidden: !problem.passing });
  retry.addEventListener("click", () => {
    card.article.focus(); // since this button goes
    predict(card);
  });
  fill(
    card,
    element("h2", { className: "wrong", textContent: "No prediction" }),
    element("p", { className: "reason", textContent: problem.message }),
    element("div", { className: "buttons" }, retry, card.remove),
  );
  announce(`${card.file.name}: no prediction. ${problem.message}`);
}

function showPrediction(card, { abstained, classes }) {
  const { class_name: name, probability: confidence } = classes[0];
  const badge = element("span", { className: "abstained", textContent: "Abstained" });
  const heading = abstained ? [badge, " perhaps ", named(name)] : [named(name), ` ${probability(confidence)}`];
  const note = (text, className = "quiet") => element("p", { className, textContent: text });
  card.article.classList.toggle("is-abstained", abstained);
  fill(
    card,
    element("h2", {}, ...heading),
    abstained ? note(meaningOfAbstention(card.model, confidence), "meaning") : "",
    element("ol", { className: "classes", ariaLabel: "Classes and their probabilities" }, ...classes.map(bar)),
    note(whatIsLeft(card.model, classes)),
    card.model.calibrated ? "" : note("Not calibrated: take these numbers as an order, not as chances."),
    ...explanation(card),
  );
  announce(`${card.file.name}: ${abstained ? "abstained, perhaps " : ""}${name}, ${probability(confidence)}`);
}

function whatIsLeft({ class_names: names }, classes) {
  const others = names.length - classes.length;
  const left = probability(classes.reduce((rest, { probability: part }) => rest - part, 1));
  if (others === 0) return "";
  return others === 1 ? `1 other class: ${left}` : `${count(others)} other classes: ${left} together`;
}

function meaningOfAbstention({ confidence_threshold: least, target_accuracy: target }, confidence) {
  if (least === null) return "The model is not sure enough to answer.";
  const [found, needed] = apart(confidence, least);
  return `Its ${found} is below the ${needed} from which ${short(target)} of the predictions are correct.`;
}

function bar({ class_name: name, probability: part }) {
  const filled = element("div");
  filled.style.width = percent(part, 2);
  const groove = element("div", { className: "bar", ariaHidden: "true" }, filled);
  return element("li", {}, named(name), ` ${probability(part)}`, groove);
}
