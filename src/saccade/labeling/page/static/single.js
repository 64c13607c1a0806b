// One image after the other: the next images are loaded while the person looks at one.

import { image, post } from "./api.js";
import { byId, classOfKey, counted, isClassKey, notify, showClasses } from "./dom.js";

const AHEAD = 4; // questions of this browser at a time, with that on the page
const POLL_MILLISECONDS = 700;
const KEEP_MILLISECONDS = 15_000; // the server gives the questions of a silent browser to others

const queue = []; // {question, image, options, element: promise of an element}
const given = []; // {question, image, options, answer}
let skipped = [];
let classes = [];
let current = null;
let busy = false;
let filling = null;
let onState = () => {};

/** Begin; `show` is called with each new state of the labeling. */
export function start(show) {
  onState = show;
  byId("not-sure").addEventListener("click", () => answer("?"));
  byId("no-class").addEventListener("click", () => answer("-"));
  byId("skip").addEventListener("click", skip);
  byId("undo").addEventListener("click", undo);
  fill();
}

/** Show the classes. */
export function setClasses(names) {
  classes = names;
  showClasses(byId("choices"), classes, current?.options ?? [], answer);
}

/** Handle a key; return whether it had a meaning. */
export function onKey(key) {
  const name = classOfKey(classes, key);
  if (name !== null) answer(name);
  else if (isClassKey(key)) notify(`No class has the key ${key.toUpperCase()}. Enter begins the name of a class.`);
  else if (key === "?" || key === "/") answer("?");
  else if (key === "-") answer("-");
  else if (key === " ") skip();
  else if (key === "Backspace") undo();
  else return false;
  return true;
}

/** Record an answer for the image on the page, and show the next one once the answer is on the disk. */
export async function answer(label) {
  if (!current || busy) return;
  const start = performance.now(), asked = current;
  busy = true;
  try {
    const { answer: number } = await post("api/answers", { question: asked.question, label });
    given.push({ ...asked, answer: number });
    notify("");
  } catch (failure) {
    notify(failure.message);
    if (failure.status !== 409) { busy = false; return; }
  }
  skipped = skipped.filter((question) => question !== asked.question);
  await next();
  busy = false;
  requestAnimationFrame(() => setTimeout(() => performance.measure("answer to painted", { start, end: performance.now() })));
}

async function skip() {
  if (!current || busy) return;
  busy = true;
  skipped.push(current.question);
  queue.length = 0;
  current = null;
  await fill();
  await next();
  busy = false;
}

async function undo() {
  const last = given.pop();
  if (!last || busy) return;
  busy = true;
  try {
    await post("api/answers", { question: last.question, label: null, replaces: last.answer });
    if (current) queue.unshift(current);
    current = { ...last };
    await show();
    fill();
  } catch (failure) {
    notify(failure.message);
  }
  busy = false;
}

async function next() {
  current = queue.shift() ?? null;
  await show();
  fill();
}

async function show() {
  byId("undo").disabled = !given.length;
  const stage = byId("stage");
  stage.hidden = !current;
  if (!current) {
    stage.replaceChildren();
    stage.dataset.image = "";
    byId("asked").textContent = "";
    byId("choices").replaceChildren();
    return;
  }
  const asked = current;
  try {
    const element = await asked.element;
    if (asked === current) {
      stage.replaceChildren(element);
      stage.dataset.image = asked.image;
    }
  } catch (failure) {
    stage.replaceChildren();
    notify(failure.message);
  }
  const offered = asked.options;
  byId("asked").textContent = offered.length ? `This image got two labels: ${offered.join(" and ")}. Which one holds?` : "";
  showClasses(byId("choices"), classes, offered, answer);
}

/** Get further questions, one request at a time. */
function fill() {
  filling ??= refill().finally(() => { filling = null; });
  return filling;
}

async function refill() {
  for (;;) {
    try {
      const { questions, state } = await post("api/next", { count: AHEAD, skipped });
      const wanted = questions.filter((one) => one.question !== current?.question);
      const known = new Map(queue.map((one) => [one.question, one]));
      queue.length = 0;
      for (const one of wanted) queue.push(known.get(one.question) ?? { ...one, element: load(one) });
      onState(state);
      if (state.phase === "done" && !questions.length && !current) return;
      if (current || queue.length) break;
      byId("asked").textContent = whyNoImage(state);
    } catch (failure) {
      notify(failure.message);
      if (failure.status === 401) return;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
  }
  if (!current) {
    current = queue.shift() ?? null;
    await show();
  }
}

/** Return why there is no image for this browser. */
function whyNoImage(state) {
  if (state.phase === "writing" || state.fitting || !state.open) return "One moment: the model is fitted to the answers.";
  const images = counted(state.open, "image");
  return `Another page has the last ${images}. If that page is closed, they come here within a minute.`;
}

function load(question) {
  const element = image(`images/${question.image}`, "the image to be labeled");
  element.catch(() => {}); // reported where it is shown
  return element;
}

/** Go on after the classes or the phase changed: questions may have been closed. */
export async function restart() {
  queue.length = 0;
  current = null;
  await fill();
  if (!current) await next();
}

/** Return the number of the question on the page; null without one. */
export const currentQuestion = () => current?.question ?? null;

/** Keep the questions of this browser while the person thinks, and give them back when the page is closed. */
setInterval(() => { if (current) fill(); }, KEEP_MILLISECONDS);
addEventListener("pagehide", () => post("api/release", {}, { keepalive: true }).catch(() => {}));
addEventListener("pageshow", (event) => { if (event.persisted) restart(); });
