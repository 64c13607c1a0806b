"""The formats of an export: how each is named, and how closely it has to agree with the run."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.errors import ExportError


@dataclass(frozen=True)
class Format:
    """A form that a model can be saved in.

    Attributes:
        suffix: of its file; a SavedModel is a directory, which may have any name.
        mark: what tells its file from others of that suffix, in a name that Saccade chooses.
        runtime: the package that opens it.
        tolerance: the largest difference between its probabilities and the run's; None: its weights are so coarse that
            its accuracy counts instead.
    """

    suffix: str
    mark: str
    runtime: str
    tolerance: float | None


FORMATS = {
    "keras": Format(".keras", "", "keras", 1e-5),
    "h5": Format(".h5", "", "keras", 1e-5),
    "savedmodel": Format("", "-savedmodel", "tensorflow", 1e-5),
    "weights": Format(".weights.h5", "", "keras", 1e-5),
    "onnx": Format(".onnx", "", "onnxruntime", 1e-5),
    "litert": Format(".tflite", "", "ai-edge-litert", 1e-5),
    "litert-float16": Format(".tflite", "-float16", "ai-edge-litert", 5e-3),
    "litert-int8": Format(".tflite", "-int8", "ai-edge-litert", None),
}


def require_format(form: str) -> None:
    """Refuses a format that there is not.

    Raises:
        ExportError: there is no such format.
    """
    if form not in FORMATS:
        raise ExportError(f"there is no export format '{form}'", expected=f"one of {', '.join(FORMATS)}")
