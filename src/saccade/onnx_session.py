"""Sessions of ONNX Runtime on the processor, outside `saccade.models`, whose import loads Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saccade.machine import library_threads, may_have_gpu

if TYPE_CHECKING:
    import onnxruntime

NOTE = "saccade"
"""Name of the metadata property of an ONNX file that holds the model's record."""

PROBABILITIES, FEATURES, WITHOUT_TTA = "probabilities", "features", "without_tta"
"""Names of the outputs of an ONNX file. Only the `model.onnx` of a run may have a second one: features, for the OOD
p-value, or the logits of the image itself, where the probabilities are those of test-time augmentation."""

# Most images for which ONNX Runtime is faster on any machine. TensorFlow starts 3 s later, or traces its graph for 1.5
# s where it is loaded already, and needs up to 1 ms less for a 32x32 image, on some processors and for some networks.
# For larger images it needs more, unless there is a GPU.
_MAX_IMAGES = 2000
_SMALL_PIXELS = 48 * 48


def is_faster_than_tensorflow(num_images: int, height: int, width: int) -> bool:
    """Return whether ONNX Runtime should classify a number of images of a size in pixels."""
    return num_images <= _MAX_IMAGES or not (height * width <= _SMALL_PIXELS or may_have_gpu())


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
