// The page: its parts, its keys, and the state of the labeling.

import { person, post } from "./api.js";
import { byId, counted, make, notify } from "./dom.js";
import * as decisions from "./decisions.js";
import * as groups from "./groups.js";
import * as single from "./single.js";

const PARTS = ["single", "groups", "decisions", "about"];
const PHASES = {
  learn: "The model learns from your answers. What is shown of its quality now is an estimate, no promise.",
  sample: "The labels of the model are frozen. These images are a random sample: your answers decide which labels stand.",
  threshold: "The labels of these images are too uncertain for the promise.",
  repeats: "These images were answered before and come a second time, to measure how well answers agree. The first answers are kept.",
  writing: "The label file is being written.",
};

let shown = "single";
let classes = [];

function show(part) {
  shown = part;
  for (const name of PARTS) {
    byId(name).hidden = name !== part;
    byId(`show-${name}`).setAttribute("aria-pressed", String(name === part));
  }
  if (part === "groups") groups.open();
  if (part === "decisions") decisions.open();
}

function onState(state) {
  if (state.classes.join("\n") !== classes.join("\n")) {
    classes = state.classes;
    for (const part of [single, groups, decisions]) part.setClasses(classes);
    byId("names").replaceChildren(...classes.map((name) => new Option(name, name)));
  }
  const count = (number) => Math.round(number).toLocaleString("en");
  const total = Math.min(state.images, Math.max(state.expected ?? state.least, state.least, state.answered));
  byId("progress").value = state.phase === "done" ? 1 : state.answered / Math.max(1, total);
  const later = state.later ? `, and ${counted(state.later, "question")} a second time` : "";
  const expected = state.phase === "learn" ? `; ${state.expected === null ? "at least" : "about"} ${count(total)} in all` : `; missing: ${counted(state.open, "answer")}${later}`;
  const time = state.phase === "done" ? "" : `${expected}; about ${counted(Math.max(1, Math.round(state.minutes_left)), "minute")} to go`;
  byId("numbers").textContent = `${count(state.answered)} of ${counted(state.images, "image")} answered${time}`;
  const dear = state.phase === "learn" && total > 0.9 * state.images ? " To label all images is hardly dearer here: few images, or a small largest error." : "";
  const attempt = state.attempt > 1 ? ` Attempt ${state.attempt}.` : "";
  const phase = state.phase === "done" ? done(state.results) : PHASES[state.repeats ? "repeats" : state.phase] ?? "";
  byId("phase").textContent = phase + attempt + dear;
  showUses(state);
  const percent = (fraction) => `${(100 * fraction).toLocaleString("en", { maximumFractionDigits: 1 })}%`;
  byId("promise").textContent = `With a probability of at least ${percent(state.confidence)}, at most ${percent(state.max_error)} of the labels differ from your answers.`;
  byId("agreement").textContent = [
    state.self_agreement && `Of ${state.self_agreement.images} images that were asked twice of the same person, ${state.self_agreement.equal} got the same label (95% interval ${percent(state.self_agreement.low)} to ${percent(state.self_agreement.high)}).`,
    state.agreement && `Of ${state.agreement.images} images that were asked of two persons, ${state.agreement.equal} got the same label${state.agreement.kappa === null ? "" : `, Cohen's kappa ${state.agreement.kappa.toFixed(2)}`}.`,
  ].filter((sentence) => sentence && !state.summary).join(" "); // the summary has it, too
  byId("summary").textContent = state.summary;
  if (state.problem) notify(state.problem);
}

function done([labels, ...later]) {
  const end = later.length ? `; Ctrl-C in the terminal ends the command and writes ${later.join(" and ")}` : "; Ctrl-C in the terminal ends the command";
  return `Done: the labels are in ${labels}. Decisions can still be changed${end}. The next step is: saccade train ${labels}.`;
}

/** Show the classes without an image, which can be removed. */
function showUses({ unused }) {
  byId("unused").hidden = !unused.length;
  byId("unused-classes").replaceChildren(...unused.map((name) => {
    const button = make("button", { type: "button" }, `Remove ${name}`);
    button.addEventListener("click", async () => {
      try {
        await post("api/classes/remove", { name });
        single.restart();
      } catch (failure) {
        notify(failure.message);
      }
    });
    return make("li", {}, button);
  }));
}

/** Return the class of a typed name, after adding it where it is new; null where the person cancels. */
async function classOf(name) {
  const typed = name.trim();
  const known = classes.find((one) => one === typed) ?? classes.find((one) => one.toLowerCase() === typed.toLowerCase());
  if (known) return known;
  try {
    ({ classes } = await post("api/classes", { name: typed })); // another person may have added classes meanwhile
  } catch (failure) {
    if (failure.status !== 409 || !(await agrees())) {
      if (failure.status !== 409) notify(failure.message);
      return null;
    }
    try {
      await post("api/classes", { name: typed, begins_attempt: true, question: single.currentQuestion() });
      notify(`Another attempt began; your answer is kept: ${typed}.`);
    } catch (conflict) {
      notify(conflict.message);
    }
    byId("name").value = "";
    byId("name").blur();
    await single.restart();
    return null;
  }
  for (const part of [single, groups, decisions]) part.setClasses(classes);
  return typed;
}

function agrees() {
  const dialog = byId("ask-attempt");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

function onSubmit(form, input, act) {
  byId(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = byId(input);
    if (!field.value.trim()) { field.blur(); return; }
    const name = await classOf(field.value);
    if (name === null) return;
    field.value = "";
    field.blur();
    act(name);
  });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || byId("ask-attempt").open) return;
  const part = { single, groups }[shown];
  const field = { single: "name", groups: "group-name" }[shown];
  const typing = event.target.matches("input, select, textarea");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (!part) return;
  const onButton = event.target.matches("button, a, summary");
  if (event.key === "Enter" && !onButton) {
    byId(field).focus();
    event.preventDefault();
  } else if (shown === "groups" && event.key.startsWith("Arrow")) {
    focusNext(event.key === "ArrowRight" || event.key === "ArrowDown" ? 1 : -1);
    event.preventDefault();
  } else if (!(event.key === " " && onButton) && !event.repeat && part.onKey(event.key)) {
    event.preventDefault();
  }
});

function focusNext(step) {
  const buttons = [...byId("group").querySelectorAll("button")];
  if (buttons.length) buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length].focus();
}

for (const name of PARTS) byId(`show-${name}`).addEventListener("click", () => show(name));
onSubmit("naming", "name", single.answer);
onSubmit("group-naming", "group-name", groups.nameGroup);
byId("person").value = person.name;
byId("naming-person").addEventListener("submit", (event) => {
  event.preventDefault();
  person.name = byId("person").value;
  byId("person").value = person.name;
  notify(`Your name is ${person.name}.`);
});
groups.start();
decisions.start(() => single.restart());
single.start(onState);
