"""ONNX Runtime, as whatever opens an ONNX file of Saccade's uses it: on the processor, without TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saccade.machine import library_threads

if TYPE_CHECKING:
    import onnxruntime

NOTE = "saccade"
"""The name of the note in an ONNX file that holds the model's record."""


def open_session(contents: bytes) -> onnxruntime.InferenceSession:
    """Open an ONNX file with ONNX Runtime, on the processor, without its warnings.

    Args:
        contents: of the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = library_threads() or 0  # 0: as many as ONNX Runtime itself counts
    return onnxruntime.InferenceSession(contents, options, providers=["CPUExecutionProvider"])
