// The camera: its preview with a frame around the input of the model, and the shutter.

import { addImages } from "./results.js";
import { byId, element, showProblem } from "./dom.js";
import { selectedModel, positionOverlay } from "./models.js";

const CAMERA_ERRORS = {
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
  } catch (error) {
    showProblem(CAMERA_ERRORS[error.name] ?? `The camera can't be used: ${error.message}`);
    return;
  } finally {
    byId("open-camera").disabled = false;
  }
  byId("camera").hidden = false;
  byId("shutter").focus();
}

function closeCamera() {
  preview.srcObject?.getTracks().forEach((track) => track.stop()); // turns off the light of the camera
  preview.srcObject = null;
  byId("camera").hidden = true;
  byId("open-camera").focus();
}

function takeImage() {
  if (!preview.videoWidth) return; // before the first frame
  const canvas = element("canvas", { width: preview.videoWidth, height: preview.videoHeight });
  canvas.getContext("2d").drawImage(preview, 0, 0);
  const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
  const add = (blob) => addImages([new File([blob], `camera-${time}.jpg`, { type: blob.type })]);
  canvas.toBlob(add, "image/jpeg", 0.95);
}

preview.addEventListener("resize", () => {
  preview.parentElement.style.setProperty("--aspect-ratio", preview.videoWidth / preview.videoHeight);
  positionOverlay(byId("preview-frame"), preview.videoWidth, preview.videoHeight, selectedModel());
});
byId("open-camera").addEventListener("click", openCamera);
byId("close-camera").addEventListener("click", closeCamera);
byId("shutter").addEventListener("click", takeImage);
byId("camera").addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeCamera();
});

// Browsers allow the camera on localhost and over HTTPS only; elsewhere, a file input opens the camera of a phone.
const hasCamera = Boolean(navigator.mediaDevices?.getUserMedia);
byId("open-camera").hidden = !hasCamera;
byId("phone-camera").hidden = hasCamera;
