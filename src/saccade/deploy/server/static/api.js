// Requests to the server of this page: access token, retries while the server is busy, and limited parallelism.
//
// URLs are relative, so that the page also works behind a proxy that serves it under a path of its own.

import { byId } from "./dom.js";

const MAX_PARALLEL = 2; // images in progress at the same time; the others wait in the browser, not in the server
const MAX_RETRIES = 3; // of a request, while the server is busy

/** A failed request. The message is for the user; `retryable` is true where another try may succeed. */
class RequestFailure extends Error {
  constructor(reason, retryable) {
    super(reason);
    this.retryable = retryable;
  }
}

let token = null; // in memory only, so that closing the page deletes it
let tokenDialog = null; // promise of the open token dialog

/**
 * Send a request, and return the JSON of the response.
 *
 * path: path of the API. body: bytes for a POST request; undefined for GET. signal: AbortSignal.
 * onWait: callback with a message while the server is busy.
 */
export async function request(path, { body, signal, onWait = () => {} } = {}) {
  for (let retries = 0; ; ) {
    const sentToken = token;
    const response = await send(path, body, signal);
    if (response.ok) return response.json();
    const reason = await reasonOf(response);
    const seconds = response.status === 503 ? Number.parseFloat(response.headers.get("Retry-After")) : NaN;
    if (response.status === 401) {
      // If the token has changed meanwhile, another request has already asked for it.
      if (sentToken === token && !(await askForToken(reason))) throw new RequestFailure(reason, true);
    } else if (seconds >= 0 && retries < MAX_RETRIES) {
      retries += 1;
      onWait(`The server is busy. Trying again in ${Math.ceil(seconds)} s (${retries} of ${MAX_RETRIES}).`);
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    } else {
      throw new RequestFailure(reason, response.status >= 500);
    }
  }
}

/** Send the image of a card to its model; `operation` is "image" or "occlusion". */
export async function requestForImage(card, operation, onWait) {
  const body = await card.file.arrayBuffer().catch(() => {
    throw new RequestFailure("The browser can't read this file. Was it a folder, or has it changed?", true);
  });
  const path = `api/models/${encodeURIComponent(card.model.name)}/${operation}`;
  return request(path, { body, signal: card.controller.signal, onWait });
}

async function send(path, body, signal) {
  const headers = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/octet-stream";
  if (token) headers.Authorization = `Bearer ${token}`;
  try {
    return await fetch(path, { method: body ? "POST" : "GET", headers, body, signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RequestFailure("The server did not respond. Is it still running?", true);
  }
}

async function reasonOf(response) {
  const content = await response.json().catch(() => null); // a proxy may respond with HTML
  if (typeof content?.error === "string") return content.error;
  return `The server responded with ${response.status} ${response.statusText}`.trim();
}

/** Ask the user for an access token; return whether one was given. Parallel requests share one dialog. */
function askForToken(reason) {
  tokenDialog ??= new Promise((resolve) => {
    const dialog = byId("access");
    byId("access-reason").textContent = reason;
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
    dialog.showModal();
  }).finally(() => {
    tokenDialog = null;
  });
  return tokenDialog;
}

byId("access-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value;
  byId("token").value = "";
  byId("access").close("given");
});
byId("without-token").addEventListener("click", () => byId("access").close());

const queue = [];
let freeSlots = MAX_PARALLEL;

/** Run an asynchronous function once fewer than MAX_PARALLEL others are running. */
export async function inTurn(work) {
  if (freeSlots > 0) freeSlots -= 1;
  else await new Promise((resolve) => queue.push(resolve));
  try {
    return await work();
  } finally {
    const next = queue.shift();
    if (next) next();
    else freeSlots += 1;
  }
}
