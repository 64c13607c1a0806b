// Requests to the server of this page. The token is the part of the address after the number sign.

const ID = "saccade-client";

/** A request that failed; `status` is 0 where the server did not respond. */
class RequestFailure extends Error {
  constructor(reason, status) {
    super(reason);
    this.status = status;
  }
}

// A copy of a tab has the session storage of the first one, but two tabs of one identifier would share their questions.
const client = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Name of the person, which the browser keeps. */
export const person = {
  get name() { return localStorage.getItem(ID) || "person"; },
  set name(value) { localStorage.setItem(ID, value.trim() || "person"); },
};

async function send(path, options = {}) {
  const headers = { Authorization: `Bearer ${location.hash.slice(1)}`, ...options.headers };
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch {
    throw new RequestFailure("The server did not respond. Is the command still running? Answers so far are kept.", 0);
  }
  if (response.ok) return response;
  const content = await response.json().catch(() => null);
  const reason = response.status === 401 ? "This address has no valid token: open the address that the command printed." : content?.error;
  throw new RequestFailure(reason ?? `The server responded with ${response.status}.`, response.status);
}

/** Return the JSON of a GET request. */
export const get = async (path) => (await send(path)).json();

/** Send a message of this person, and return the JSON of the response. */
export async function post(path, message = {}, options = {}) {
  const body = JSON.stringify({ client, person: person.name, ...message });
  return (await send(path, { ...options, method: "POST", headers: { "Content-Type": "application/json" }, body })).json();
}

// Another address of the same page differs only after the number sign, for which browsers load nothing.
addEventListener("hashchange", () => location.reload());

/** Return a decoded image element of a path. */
export async function image(path, alt) {
  const url = URL.createObjectURL(await (await send(path)).blob());
  const element = new Image();
  element.alt = alt;
  element.src = url;
  try {
    await element.decode();
  } finally {
    URL.revokeObjectURL(url);
  }
  return element;
}
