// Small helpers for elements of the page.

export const byId = (id) => document.getElementById(id);

/** Make an element with text, attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Keys of classes, by their position. */
export const KEYS = [..."1234567890abcdefghijklmnopqrstuvwxyz"];

/** Fill a place with a button for each class; `choose` is called with the name of the class. */
export function showClasses(place, names, offered, choose) {
  const buttons = names.map((name, position) => {
    const button = make("button", { type: "button" });
    if (position < KEYS.length) button.append(make("kbd", {}, KEYS[position].toUpperCase()));
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
