// Sends images to the server that this page came from, and shows its answers.
//
// It starts here: images come in by being chosen, dropped, pasted or taken (camera.js), and get a card each
// (results.js), which may show a map (heatmap.js). The chosen model (models.js) is asked in requests (api.js). All use
// dom.js and format.js to put things on the page.

import { addImages } from "./results.js";
import "./camera.js";
import { byId, showProblem } from "./dom.js";
import { findModels } from "./models.js";

for (const input of [byId("files"), byId("photo")]) {
  input.addEventListener("change", () => {
    addImages(input.files);
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
  if (event.dataTransfer.files.length) addImages(event.dataTransfer.files);
  else showProblem("That was no file. Save the image first, then drop its file here.");
});
document.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length) return; // text, which may be meant for the token
  event.preventDefault();
  addImages(event.clipboardData.files);
});

findModels();
