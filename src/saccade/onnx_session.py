"""Sessions of ONNX Runtime on the processor, outside `saccade.models`, whose import loads Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saccade.machine import library_threads

if TYPE_CHECKING:
    import onnxruntime

NOTE = "saccade"
"""Name of the metadata property of an ONNX file that holds the model's record."""

PROBABILITIES, FEATURES = "probabilities", "features"
"""Names of the outputs of an ONNX file; only the `model.onnx` of a run may have features, for the OOD p-value."""


def open_session(contents: bytes, *, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Open an ONNX file with ONNX Runtime, on the processor, without its warnings.

    Args:
        contents: contents of the file.
        threads: number of threads for one call. None: all cores that this process may use.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or library_threads() or 0  # 0: ONNX Runtime chooses
    return onnxruntime.InferenceSession(contents, options, providers=["CPUExecutionProvider"])


def runtime_version() -> str:
    """Return the version of ONNX Runtime."""
    import onnxruntime

    return str(onnxruntime.__version__)
