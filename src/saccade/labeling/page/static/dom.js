// Small helpers for elements of the page.

export const byId = (id) => document.getElementById(id);

/** Make an element with text, attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const KEYS = [..."1234567890abcdefghijklmnopqrstuvwxyz"];

/** Return the key of each class by its name: a class that is named like a key has this key. */
export function keysOf(names) {
  const own = new Map();
  for (const name of names) {
    const key = name.toLowerCase();
    if (KEYS.includes(key) && ![...own.values()].includes(key)) own.set(name, key);
  }
  const free = KEYS.filter((key) => ![...own.values()].includes(key));
  return new Map(names.flatMap((name) => (own.has(name) ? [[name, own.get(name)]] : free.length ? [[name, free.shift()]] : [])));
}

/** Return the class with a key; null without one. */
export function classOfKey(names, key) {
  const found = [...keysOf(names)].find(([, own]) => own === key.toLowerCase());
  return found ? found[0] : null;
}

/** Return whether a key may be that of a class. */
export const isClassKey = (key) => KEYS.includes(key.toLowerCase());

/** Return a number with its noun. */
export const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** Fill a place with a button for each class; `choose` is called with the name of the class. */
export function showClasses(place, names, offered, choose) {
  const keys = keysOf(names);
  const buttons = names.map((name) => {
    const button = make("button", { type: "button" });
    if (keys.has(name)) button.append(make("kbd", {}, keys.get(name).toUpperCase()));
    button.append(make("span", {}, name));
    button.classList.toggle("offered", offered.includes(name));
    button.addEventListener("click", () => choose(name));
    return button;
  });
  place.replaceChildren(...buttons);
}

/** Show a message above the page until the next one. */
export function notify(text) {
  byId("notice").textContent = text;
}
