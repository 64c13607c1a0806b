// The page of `saccade serve`: sends images to the server of this page, and shows the predictions.
//
// This module receives images that are chosen, dropped or pasted; camera.js takes images. results.js shows a card for
// each image, and heatmap.js its occlusion map. models.js holds the selected model, api.js sends the requests. dom.js
// and format.js are helpers of all modules.

import { addImages } from "./results.js";
import "./camera.js";
import { byId, showProblem } from "./dom.js";
import { loadModels } from "./models.js";

for (const input of [byId("files"), byId("photo")]) {
  input.addEventListener("change", () => {
    addImages(input.files);
    input.value = ""; // allows choosing the same file again
  });
}

document.addEventListener("dragover", (event) => {
  event.preventDefault(); // otherwise the browser would open the file in place of this page
  document.body.classList.toggle("dropping", event.dataTransfer.types.includes("Files"));
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dropping"); // the pointer left the window
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files.length) addImages(event.dataTransfer.files);
  else showProblem("This is not a file. Save the image first, then drop its file here.");
});
document.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length) return; // text, such as a token
  event.preventDefault();
  addImages(event.clipboardData.files);
});

loadModels();
