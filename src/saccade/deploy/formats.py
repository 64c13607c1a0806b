"""Export formats: suffix, runtime and tolerance of each."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.errors import ExportError


@dataclass(frozen=True)
class Format:
    """An export format.

    Attributes:
        suffix: suffix of the file; "" for a SavedModel, which is a directory of any name.
        mark: addition to a default file name that distinguishes formats of the same suffix.
        runtime: package that opens the file.
        tolerance: largest difference between a probability of the export and of the run; None for eight-bit weights,
            whose accuracy is compared instead.
    """

    suffix: str
    mark: str
    runtime: str
    tolerance: float | None


SAVED_MODEL_VERSION = "1"
"""Folder of a SavedModel within its export: TensorFlow Serving takes a folder of numbered versions."""

FORMATS = {
    "keras": Format(".keras", "", "keras", 1e-5),
    "h5": Format(".h5", "", "keras", 1e-5),
    "savedmodel": Format("", "-savedmodel", "tensorflow", 1e-5),
    "weights": Format(".weights.h5", "", "keras", 1e-5),
    "onnx": Format(".onnx", "", "onnxruntime", 1e-5),
    "litert": Format(".tflite", "", "ai-edge-litert", 1e-5),
    "litert-float16": Format(".tflite", "-float16", "ai-edge-litert", 2e-2),
    "litert-int8": Format(".tflite", "-int8", "ai-edge-litert", None),
}


def require_format(form: str) -> None:
    """Check that an export format exists.

    Raises:
        ExportError: there is no such format.
    """
    if form not in FORMATS:
        raise ExportError(f"there is no export format '{form}'", expected=f"one of {', '.join(FORMATS)}")
