// Occlusion map of an image: its button, the heatmap over the image, and a description in words.

import { announce, element, nameElement } from "./dom.js";
import { positionOverlay } from "./models.js";
import { probability } from "./format.js";
import { requestForImage } from "./api.js";

const MIN_SCALE = 0.01; // smallest change of a probability at full color, so that noise stays pale
const POSITIONS = [
  ["the upper left", "the upper middle", "the upper right"],
  ["the left side", "the middle", "the right side"],
  ["the lower left", "the lower middle", "the lower right"],
];

/** Return the buttons of a prediction, and the element for the description of its occlusion map. */
export function explanation(card) {
  const button = element("button", { type: "button", textContent: "Show occlusion map" });
  const description = element("div", { className: "map-description" });
  let canvas = null;
  const setVisible = (visible) => {
    canvas.hidden = description.hidden = !visible;
    card.stage.classList.toggle("mapped", visible);
    button.textContent = visible ? "Hide occlusion map" : "Show occlusion map";
  };
  button.addEventListener("click", async () => {
    if (canvas) return setVisible(canvas.hidden);
    if (button.ariaDisabled === "true") return undefined;
    button.ariaDisabled = "true"; // `disabled` would remove the focus
    description.textContent = "Computing the occlusion map…";
    try {
      const map = await requestForImage(card, "occlusion", (text) => { description.textContent = text; });
      canvas = drawMap(card, map);
      description.replaceChildren(...describeMap(map));
      card.stage.append(canvas);
      setVisible(true);
      announce(`${card.file.name}: ${summarize(map)}`);
    } catch (error) {
      description.replaceChildren(element("p", { className: "error", textContent: error.message }));
      announce(error.message);
    }
    button.ariaDisabled = "false";
    return undefined;
  });
  return [element("div", { className: "buttons" }, button, card.remove), description];
}

const maxAbsChange = ({ change }) => Math.max(MIN_SCALE, ...change.flat().map(Math.abs));
const points = (change) => `${(100 * Math.abs(change)).toFixed(1)} points`;

/** Draw a canvas with one pixel for each cell of the map; the browser interpolates it to the size of the image. */
function drawMap(card, map) {
  const [height, width] = [map.change.length, map.change[0].length];
  const canvas = element("canvas", { width, height, className: "overlay", role: "img", ariaLabel: summarize(map) });
  const context = canvas.getContext("2d");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const [supporting, opposing] = [color("--supporting"), color("--opposing")];
  const scale = maxAbsChange(map);
  map.change.forEach((row, y) => row.forEach((change, x) => {
    context.fillStyle = `rgba(${change < 0 ? supporting : opposing}, ${(0.8 * Math.abs(change)) / scale})`;
    context.fillRect(x, y, 1, 1);
  }));
  const cropped = positionOverlay(canvas, card.image.naturalWidth || 1, card.image.naturalHeight || 1, card.model);
  canvas.classList.toggle("framed", cropped);
  return canvas;
}

function describeMap(map) {
  const scale = maxAbsChange(map);
  const ticks = [`−${points(scale)}`, "0", `+${points(scale)}`].map((text) => element("span", { textContent: text }));
  const legend = ["Change of the probability when a gray patch covers a place. Orange supports ", ", blue opposes it."];
  return [
    element("p", { textContent: summarize(map) }),
    element("div", { className: "legend" }, element("span", { className: "scale", ariaHidden: "true" }), ...ticks),
    element("p", { className: "quiet" }, legend[0], nameElement(map.class_name), legend[1]),
  ];
}

/** Summarize an occlusion map in one or two sentences. */
function summarize({ class_name: name, probability: value, change }) {
  const third = (index, length) => Math.floor((3 * (index + 0.5)) / length);
  const cells = change.flatMap((row, y) =>
    row.map((cell, x) => ({ change: cell, position: POSITIONS[third(y, change.length)][third(x, row.length)] })),
  );
  const lowest = cells.reduce((a, b) => (b.change < a.change ? b : a));
  const highest = cells.reduce((a, b) => (b.change > a.change ? b : a));
  const sentences = [`Covering any place does not lower the probability of ${name}.`];
  if (lowest.change <= -0.001) {
    const fall = `${points(lowest.change)}: from ${probability(value)} to ${probability(value + lowest.change)}`;
    sentences[0] = `Covering ${lowest.position} lowers the probability of ${name} the most, by ${fall}.`;
  }
  if (highest.change >= 0.001) {
    sentences.push(`Covering ${highest.position} raises it the most, by ${points(highest.change)}.`);
  }
  return sentences.join(" ");
}
