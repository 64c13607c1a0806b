// DOM helpers of all modules of the page.
//
// Text from outside (names, reasons, model cards) enters the page as text, never as HTML.

export const byId = (id) => document.getElementById(id);
export const element = (name, properties = {}, ...children) => {
  const created = Object.assign(document.createElement(name), properties);
  created.append(...children);
  return created;
};
export const nameElement = (text) => element("span", { className: "name", textContent: text });

/** Announce a change of the page to users of screen readers. */
export function announce(text) {
  byId("announcements").append(element("p", { textContent: text }));
}

/** Show why no image was added; an empty text hides the message. */
export function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
  if (text) announce(text);
}
