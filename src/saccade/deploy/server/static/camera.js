// The camera: its image with a frame around what the model sees, and what it takes.

import { addImages } from "./results.js";
import { byId, element, showProblem } from "./dom.js";
import { chosen, layOver } from "./models.js";

const NO_CAMERA = {
  NotAllowedError: "The browser was not allowed to use the camera.",
  NotFoundError: "No camera was found.",
};
const preview = byId("preview");

async function openCamera() {
  showProblem("");
  byId("open-camera").disabled = true;
  try {
    const video = { facingMode: "environment", width: { ideal: 1280 } };
    preview.srcObject = await navigator.mediaDevices.getUserMedia({ video });
  } catch (problem) {
    showProblem(NO_CAMERA[problem.name] ?? `The camera can't be used: ${problem.message}`);
    return;
  } finally {
    byId("open-camera").disabled = false;
  }
  byId("camera").hidden = false;
  byId("shutter").focus();
}

function closeCamera() {
  preview.srcObject?.getTracks().forEach((track) => track.stop()); // puts the camera's light out
  preview.srcObject = null;
  byId("camera").hidden = true;
  byId("open-camera").focus();
}

function takeImage() {
  if (!preview.videoWidth) return; // the first image is still to come
  const canvas = element("canvas", { width: preview.videoWidth, height: preview.videoHeight });
  canvas.getContext("2d").drawImage(preview, 0, 0);
  const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
  const add = (bytes) => addImages([new File([bytes], `camera-${time}.jpg`, { type: bytes.type })]);
  canvas.toBlob(add, "image/jpeg", 0.95);
}

preview.addEventListener("resize", () => {
  preview.parentElement.style.setProperty("--shape", preview.videoWidth / preview.videoHeight);
  layOver(byId("preview-seen"), preview.videoWidth, preview.videoHeight, chosen());
});
byId("open-camera").addEventListener("click", openCamera);
byId("close-camera").addEventListener("click", closeCamera);
byId("shutter").addEventListener("click", takeImage);
byId("camera").addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeCamera();
});

// Browsers give pages the camera on localhost and over HTTPS only; elsewhere a phone's own camera takes the image.
const hasCamera = Boolean(navigator.mediaDevices?.getUserMedia);
byId("open-camera").hidden = !hasCamera;
byId("phone-camera").hidden = hasCamera;
