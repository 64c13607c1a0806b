// Where the network looked: the button for it in an answer, the map over the image, and the map in words.

import { announce, element, named } from "./dom.js";
import { layOver } from "./models.js";
import { probability } from "./format.js";
import { ask } from "./api.js";

const LEAST_CHANGE = 0.01; // the least change of a probability that a map shows in full color: noise stays pale
const PLACES = [
  ["the upper left", "the upper middle", "the upper right"],
  ["the left side", "the middle", "the right side"],
  ["the lower left", "the lower middle", "the lower right"],
];

/** The buttons of an answer, and what is said of its map once that was asked for. */
export function explanation(card) {
  const button = element("button", { type: "button", textContent: "Show where it looked" });
  const words = element("div", { className: "map-words" });
  let map = null;
  const show = (shown) => {
    map.hidden = words.hidden = !shown;
    card.stage.classList.toggle("mapped", shown);
    button.textContent = shown ? "Hide where it looked" : "Show where it looked";
  };
  button.addEventListener("click", async () => {
    if (map) return show(map.hidden);
    if (button.ariaDisabled === "true") return undefined;
    button.ariaDisabled = "true"; // not `disabled`, which would take the focus away
    words.textContent = "Covering the image bit by bit…";
    try {
      const found = await ask(card, "occlusion", (text) => { words.textContent = text; });
      map = drawMap(card, found);
      words.replaceChildren(...describeMap(found));
      card.stage.append(map);
      show(true);
      announce(`${card.file.name}: ${inWords(found)}`);
    } catch (problem) {
      words.replaceChildren(element("p", { className: "wrong", textContent: problem.message }));
      announce(problem.message);
    }
    button.ariaDisabled = "false";
    return undefined;
  });
  return [element("div", { className: "buttons" }, button, card.remove), words];
}

const strongest = ({ change }) => Math.max(LEAST_CHANGE, ...change.flat().map(Math.abs));
const points = (change) => `${(100 * Math.abs(change)).toFixed(1)} points`;

/** A canvas of one pixel for each place, which the browser smooths when it makes it as large as the image. */
function drawMap(card, found) {
  const [height, width] = [found.change.length, found.change[0].length];
  const canvas = element("canvas", { width, height, className: "seen", role: "img", ariaLabel: inWords(found) });
  const context = canvas.getContext("2d");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const [speaksFor, speaksAgainst] = [color("--speaks-for"), color("--speaks-against")];
  const most = strongest(found);
  found.change.forEach((row, y) => row.forEach((change, x) => {
    context.fillStyle = `rgba(${change < 0 ? speaksFor : speaksAgainst}, ${(0.8 * Math.abs(change)) / most})`;
    context.fillRect(x, y, 1, 1);
  }));
  const cut = layOver(canvas, card.image.naturalWidth || 1, card.image.naturalHeight || 1, card.model);
  canvas.classList.toggle("framed", cut);
  return canvas;
}

function describeMap(found) {
  const most = strongest(found);
  const ends = [`−${points(most)}`, "0", `+${points(most)}`].map((text) => element("span", { textContent: text }));
  const colors = ["What changes when a place is covered with gray. Orange speaks for ", ", blue against it."];
  return [
    element("p", { textContent: inWords(found) }),
    element("div", { className: "legend" }, element("span", { className: "scale", ariaHidden: "true" }), ...ends),
    element("p", { className: "quiet" }, colors[0], named(found.class_name), colors[1]),
  ];
}

/** What a map shows, for those who can't see it and for those who would rather read. */
function inWords({ class_name: name, probability: part, change }) {
  const third = (at, length) => Math.floor((3 * (at + 0.5)) / length);
  const places = change.flatMap((row, y) =>
    row.map((value, x) => ({ value, place: PLACES[third(y, change.length)][third(x, row.length)] })),
  );
  const least = places.reduce((a, b) => (b.value < a.value ? b : a));
  const most = places.reduce((a, b) => (b.value > a.value ? b : a));
  const sentences = [`No place that was covered makes ${name} less probable.`];
  if (least.value <= -0.001) {
    const fall = `${points(least.value)}: from ${probability(part)} to ${probability(part + least.value)}`;
    sentences[0] = `Covering ${least.place} lowers the probability of ${name} the most, by ${fall}.`;
  }
  if (most.value >= 0.001) sentences.push(`Covering ${most.place} raises it the most, by ${points(most.value)}.`);
  return sentences.join(" ");
}
