// What all parts of the page use to put something on it.
//
// Whatever is not written in these files (names, reasons, the card) is put into the page as text, never as HTML.

export const byId = (id) => document.getElementById(id);
export const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
export const named = (text) => element("span", { className: "name", textContent: text });

/** Tells those who can't see the page what has changed on it. */
export function announce(text) {
  byId("announcements").append(element("p", { textContent: text }));
}

/** Tells why no image came in; an empty text takes back what was told. */
export function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
  if (text) announce(text);
}
