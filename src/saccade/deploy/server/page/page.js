// Sends pictures to the server that this page came from, and shows its answers.
//
// Whatever is not written here (names, reasons, the card) is put into the page as text, never as HTML. Addresses are
// relative, so that the page also works behind a proxy that serves it under a path of its own.

const MOST_CLASSES = 5; // shown of an answer
const MOST_NAMES = 100; // classes named in the facts of a model
const AT_ONCE = 2; // pictures that are asked about at the same time: the others wait here, not in the server
const RETRIES = 3; // of a request that the server was too busy for
const SMALL = 128; // pixels: a picture with less is shown with its pixels as squares, not blurred
const LEAST_CHANGE = 0.01; // the least change of a probability that a map shows in full colour: noise stays pale
const NOT_EVALUATED = "not evaluated yet";
const PLACES = [
  ["the upper left", "the upper middle", "the upper right"],
  ["the left side", "the middle", "the right side"],
  ["the lower left", "the lower middle", "the lower right"],
];

const byId = (id) => document.getElementById(id);
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const named = (text) => element("span", { className: "name", textContent: text });

/** Tells those who can't see the page what has changed on it. */
function announce(text) {
  byId("announcements").append(element("p", { textContent: text }));
}

// Numbers

const percent = (part, digits = 1) => `${(100 * part).toFixed(digits)}%`;
const short = (part) => `${Number((100 * part).toFixed(2))}%`; // 99%, 99.5%
const count = (number) => number.toLocaleString("en");

/** A probability to 0.1%; none is called impossible or certain. */
function probability(part) {
  if (part < 0.001) return "under 0.1%";
  return part > 0.999 ? "over 99.9%" : percent(part);
}

/** Two different parts with as many digits as it takes to tell them apart. */
function apart(one, other) {
  const digits = [1, 2, 3].find((some) => percent(one, some) !== percent(other, some)) ?? 4;
  return [percent(one, digits), percent(other, digits)];
}

// The server

/** A request that brought no answer. The message is for the reader; `passing` says that it may go well another time. */
class Failure extends Error {
  constructor(reason, passing) {
    super(reason);
    this.passing = passing;
  }
}

let token = null; // kept here only, so that it is gone with the page
let tokenAsked = null; // the question for it, while it is open

/**
 * What the server answers.
 *
 * path: of the API. body: bytes to send, or undefined to get. signal: ends it. onWait: told in words why it takes long.
 */
async function request(path, { body, signal, onWait = () => {} } = {}) {
  for (let retries = 0; ; ) {
    const sent = token;
    const response = await send(path, body, signal);
    if (response.ok) return response.json();
    const reason = await reasonOf(response);
    const seconds = response.status === 503 ? Number.parseFloat(response.headers.get("Retry-After")) : NaN;
    if (response.status === 401) {
      // If the token has changed since, another request has asked for it already.
      if (sent === token && !(await askForToken(reason))) throw new Failure(reason, true);
    } else if (seconds >= 0 && retries < RETRIES) {
      retries += 1;
      onWait(`The server is busy. Trying again in ${Math.ceil(seconds)} s (${retries} of ${RETRIES}).`);
      await new Promise((passed) => setTimeout(passed, 1000 * seconds));
    } else {
      throw new Failure(reason, response.status >= 500);
    }
  }
}

async function send(path, body, signal) {
  const headers = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/octet-stream";
  if (token) headers.Authorization = `Bearer ${token}`;
  try {
    return await fetch(path, { method: body ? "POST" : "GET", headers, body, signal, cache: "no-store" });
  } catch (problem) {
    if (signal?.aborted) throw problem;
    throw new Failure("No answer came from the server. Is it still running?", true);
  }
}

async function reasonOf(response) {
  const said = await response.json().catch(() => null); // a proxy in between may answer with HTML
  if (typeof said?.error === "string") return said.error;
  return `The server answered ${response.status} ${response.statusText}`.trim();
}

/** Whether the reader gave an access token; requests that need it at the same time share one question. */
function askForToken(reason) {
  tokenAsked ??= new Promise((answered) => {
    const dialog = byId("access");
    byId("access-reason").textContent = reason;
    dialog.returnValue = "";
    dialog.addEventListener("close", () => answered(dialog.returnValue === "given"), { once: true });
    dialog.showModal();
  }).finally(() => {
    tokenAsked = null;
  });
  return tokenAsked;
}

byId("access-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value;
  byId("token").value = "";
  byId("access").close("given");
});
byId("without-token").addEventListener("click", () => byId("access").close());

const waiting = [];
let free = AT_ONCE;

/** Does some work once fewer than AT_ONCE others are being done. */
async function inTurn(work) {
  if (free > 0) free -= 1;
  else await new Promise((turn) => waiting.push(turn));
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  }
}

// The models

let models = [];
const chosen = () => models[byId("model").selectedIndex];

async function findModels() {
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
    test ? `${percent(test.accuracy)} of its answers to test pictures are right.` : `${NOT_EVALUATED}.`,
  );
  const rows = factsOf(model).map(([name, ...value]) => [
    element("dt", { textContent: name }),
    element("dd", {}, ...value),
  ]);
  byId("facts").replaceChildren(...rows.flat());
  byId("card").hidden = !model.card;
  byId("card-text").textContent = model.card ?? "";
}

/** Rows of a name and what is said of it. */
function factsOf(model) {
  const { width, height, views } = model;
  return [
    ["name", named(model.name), `, version ${model.version}`],
    ["data", named(model.data)],
    ["recipe", model.recipe === null ? "not told" : named(model.recipe)],
    ["classes", ...classesOf(model)],
    ["accuracy", accuracyOf(model)],
    ["calibration", calibrationOf(model)],
    ["unsure", unsureOf(model)],
    ["sees", `the middle of a picture, ${width}x${height} pixels, in ${views} ${views === 1 ? "view" : "views"}`],
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
  return `${percent(test.accuracy)}, ${interval}, of ${count(test.pictures)} test pictures`;
}

function calibrationOf({ calibrated, temperature }) {
  if (!calibrated) return "none: its probabilities were never held against the truth";
  const meaning = "of answers given 80%, about 80% should be right, for pictures like those it was trained on";
  return `temperature ${Number(temperature.toPrecision(3))}: ${meaning}`;
}

function unsureOf({ unsure_below: least, promise }) {
  if (least === null) return "never: it was not asked to say so";
  return `below ${percent(least)}; from there on ${short(promise)} of the answers are right`;
}

byId("model").addEventListener("change", showModel);
byId("again").addEventListener("click", findModels);

/** Lays something over the part of a picture that the network sees: the middle, cut to the model's shape. */
function layOver(part, width, height, model) {
  const scale = Math.min(width / model.width, height / model.height);
  const [across, down] = [(100 * scale * model.width) / width, (100 * scale * model.height) / height];
  const place = { left: (100 - across) / 2, top: (100 - down) / 2, width: across, height: down };
  for (const [name, value] of Object.entries(place)) part.style[name] = `${value}%`;
  return across < 99.5 || down < 99.5; // whether something is cut off
}

// Answers, a card for each picture

/** Shows a card for each file and asks about them; the newest are on top. */
function addPictures(files) {
  if (!models.length) return;
  showProblem("");
  const cards = [...files].map((file) => makeCard(file, chosen()));
  byId("answers").prepend(...cards.map((card) => card.article));
  cards.forEach(answer);
}

function makeCard(file, model) {
  const address = URL.createObjectURL(file);
  const image = element("img", { src: address, alt: `The picture ${file.name}` });
  const stage = element("div", { className: "stage" }, image);
  const body = element("div");
  const article = element("article", { className: "answer", ariaLabel: file.name, tabIndex: -1 }, stage, body);
  const card = { file, model, article, stage, image, body, ended: new AbortController() };
  image.addEventListener("load", () => {
    stage.style.setProperty("--shape", image.naturalWidth / image.naturalHeight);
    image.classList.toggle("small", Math.min(image.naturalWidth, image.naturalHeight) < SMALL);
  });
  image.addEventListener("error", () => { // no picture, or of a format that this browser does not know
    stage.hidden = true;
    article.classList.add("pictureless");
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

async function ask(card, what, onWait) {
  const body = await card.file.arrayBuffer().catch(() => {
    throw new Failure("The browser can't read this file. Was it a folder, or has it changed?", true);
  });
  const path = `api/models/${encodeURIComponent(card.model.name)}/${what}`;
  return request(path, { body, signal: card.ended.signal, onWait });
}

async function answer(card) {
  const wait = element("p");
  fill(card, element("h2", { textContent: "Looking…" }), wait, element("div", { className: "buttons" }, card.remove));
  card.article.ariaBusy = "true";
  const top = Math.min(MOST_CLASSES, card.model.class_names.length);
  const onWait = (text) => {
    wait.textContent = text;
    announce(`${card.file.name}: ${text}`);
  };
  try {
    const said = await inTurn(() => (card.ended.signal.aborted ? null : ask(card, `picture?top=${top}`, onWait)));
    if (!card.ended.signal.aborted) showAnswer(card, said);
  } catch (problem) {
    if (!card.ended.signal.aborted) showFailure(card, problem);
  }
  card.article.ariaBusy = "false";
}

function showFailure(card, problem) {
  const retry = element("button", { type: "button", textContent: "Try again", hidden: !problem.passing });
  retry.addEventListener("click", () => {
    card.article.focus(); // since this button goes
    answer(card);
  });
  fill(
    card,
    element("h2", { className: "wrong", textContent: "No answer" }),
    element("p", { className: "reason", textContent: problem.message }),
    element("div", { className: "buttons" }, retry, card.remove),
  );
  announce(`${card.file.name}: no answer. ${problem.message}`);
}

function showAnswer(card, { unsure, classes }) {
  const { class_name: name, probability: confidence } = classes[0];
  const badge = element("span", { className: "unsure", textContent: "Unsure" });
  const heading = unsure ? [badge, " perhaps ", named(name)] : [named(name), ` ${probability(confidence)}`];
  const note = (text, className = "quiet") => element("p", { className, textContent: text });
  card.article.classList.toggle("is-unsure", unsure);
  fill(
    card,
    element("h2", {}, ...heading),
    unsure ? note(meaningOfUnsure(card.model, confidence), "meaning") : "",
    element("ol", { className: "classes", ariaLabel: "Classes and their probabilities" }, ...classes.map(bar)),
    note(whatIsLeft(card.model, classes)),
    card.model.calibrated ? "" : note("Not calibrated: take these numbers as an order, not as chances."),
    ...explanation(card),
  );
  announce(`${card.file.name}: ${unsure ? "unsure, perhaps " : ""}${name}, ${probability(confidence)}`);
}

function whatIsLeft({ class_names: names }, classes) {
  const others = names.length - classes.length;
  const left = probability(classes.reduce((rest, { probability: part }) => rest - part, 1));
  if (others === 0) return "";
  return others === 1 ? `1 other class: ${left}` : `${count(others)} other classes: ${left} together`;
}

function meaningOfUnsure({ unsure_below: least, promise }, confidence) {
  if (least === null) return "The model is not sure enough to answer.";
  const [found, needed] = apart(confidence, least);
  return `Its ${found} is below the ${needed} from which ${short(promise)} of the answers are right.`;
}

function bar({ class_name: name, probability: part }) {
  const filled = element("div");
  filled.style.width = percent(part, 2);
  const groove = element("div", { className: "bar", ariaHidden: "true" }, filled);
  return element("li", {}, named(name), ` ${probability(part)}`, groove);
}

// Where it looked

/** The buttons of an answer, and what is said of its map once that was asked for. */
function explanation(card) {
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
    words.textContent = "Covering the picture bit by bit…";
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

/** A canvas of one pixel for each place, which the browser smooths when it makes it as large as the picture. */
function drawMap(card, found) {
  const [height, width] = [found.change.length, found.change[0].length];
  const canvas = element("canvas", { width, height, className: "seen", role: "img", ariaLabel: inWords(found) });
  const drawing = canvas.getContext("2d");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const [speaksFor, speaksAgainst] = [colour("--speaks-for"), colour("--speaks-against")];
  const most = strongest(found);
  found.change.forEach((row, y) => row.forEach((change, x) => {
    drawing.fillStyle = `rgba(${change < 0 ? speaksFor : speaksAgainst}, ${(0.8 * Math.abs(change)) / most})`;
    drawing.fillRect(x, y, 1, 1);
  }));
  const cut = layOver(canvas, card.image.naturalWidth || 1, card.image.naturalHeight || 1, card.model);
  canvas.classList.toggle("framed", cut);
  return canvas;
}

function describeMap(found) {
  const most = strongest(found);
  const ends = [`−${points(most)}`, "0", `+${points(most)}`].map((text) => element("span", { textContent: text }));
  const colours = ["What changes when a place is covered with grey. Orange speaks for ", ", blue against it."];
  return [
    element("p", { textContent: inWords(found) }),
    element("div", { className: "legend" }, element("span", { className: "scale", ariaHidden: "true" }), ...ends),
    element("p", { className: "quiet" }, colours[0], named(found.class_name), colours[1]),
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

// How pictures come in

function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
  if (text) announce(text);
}

for (const input of [byId("files"), byId("photo")]) {
  input.addEventListener("change", () => {
    addPictures(input.files);
    input.value = ""; // so that the same file can be chosen once more
  });
}

document.addEventListener("dragover", (event) => {
  event.preventDefault(); // else the browser would leave this page and open the file
  document.body.classList.toggle("dropping", event.dataTransfer.types.includes("Files"));
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dropping"); // it has left the window
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files.length) addPictures(event.dataTransfer.files);
  else showProblem("That was no file. Save the picture first, then drop its file here.");
});
document.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length) return; // text, which may be meant for the token
  event.preventDefault();
  addPictures(event.clipboardData.files);
});

// The camera

const NO_CAMERA = {
  NotAllowedError: "The browser was not allowed to use the camera.",
  NotFoundError: "No camera was found.",
};
const preview = byId("preview");

async function openCamera() {
  showProblem("");
  byId("open-camera").disabled = true;
  try {
    const video = { facingMode: "environment", width: { ideal: 1280 } };
    preview.srcObject = await navigator.mediaDevices.getUserMedia({ video });
  } catch (problem) {
    showProblem(NO_CAMERA[problem.name] ?? `The camera can't be used: ${problem.message}`);
    return;
  } finally {
    byId("open-camera").disabled = false;
  }
  byId("camera").hidden = false;
  byId("shutter").focus();
}

function closeCamera() {
  preview.srcObject?.getTracks().forEach((track) => track.stop()); // puts the camera's light out
  preview.srcObject = null;
  byId("camera").hidden = true;
  byId("open-camera").focus();
}

function takePicture() {
  if (!preview.videoWidth) return; // the first picture is still to come
  const canvas = element("canvas", { width: preview.videoWidth, height: preview.videoHeight });
  canvas.getContext("2d").drawImage(preview, 0, 0);
  const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
  const add = (bytes) => addPictures([new File([bytes], `camera-${time}.jpg`, { type: bytes.type })]);
  canvas.toBlob(add, "image/jpeg", 0.95);
}

preview.addEventListener("resize", () => {
  preview.parentElement.style.setProperty("--shape", preview.videoWidth / preview.videoHeight);
  layOver(byId("preview-seen"), preview.videoWidth, preview.videoHeight, chosen());
});
byId("open-camera").addEventListener("click", openCamera);
byId("close-camera").addEventListener("click", closeCamera);
byId("shutter").addEventListener("click", takePicture);
byId("camera").addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeCamera();
});

// Browsers give pages the camera on localhost and over HTTPS only; elsewhere a phone's own camera takes the picture.
const hasCamera = Boolean(navigator.mediaDevices?.getUserMedia);
byId("open-camera").hidden = !hasCamera;
byId("phone-camera").hidden = hasCamera;

findModels();
