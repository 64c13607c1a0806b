// Requests to the server that this page came from: the token, busy servers, and how many images at a time.
//
// Addresses are relative, so that the page also works behind a proxy that serves it under a path of its own.

import { byId } from "./dom.js";

const AT_ONCE = 2; // images that are asked about at the same time: the others wait here, not in the server
const RETRIES = 3; // of a request that the server was too busy for

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
export async function request(path, { body, signal, onWait = () => {} } = {}) {
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

/** What the server answers about the image of a card. */
export async function ask(card, what, onWait) {
  const body = await card.file.arrayBuffer().catch(() => {
    throw new Failure("The browser can't read this file. Was it a folder, or has it changed?", true);
  });
  const path = `api/models/${encodeURIComponent(card.model.name)}/${what}`;
  return request(path, { body, signal: card.ended.signal, onWait });
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
  const content = await response.json().catch(() => null); // a proxy in between may answer with HTML
  if (typeof content?.error === "string") return content.error;
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
export async function inTurn(work) {
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
