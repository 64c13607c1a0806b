"""Classifier of a run, by the runtime that is faster for a number of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saccade.inference.model_file import ModelFile
from saccade.inference.onnx_model import OnnxModel, load_inference_onnx
from saccade.inference.ood_detector import OodDetector
from saccade.machine import may_have_gpu
from saccade.runs.run import Run

if TYPE_CHECKING:
    from saccade.inference.predictor import Predictor

# Most images for which ONNX Runtime is faster on any machine. TensorFlow starts 3 s later, and needs up to 1 ms less
# for a 32x32 image, on some processors and for some networks. For larger images it needs more, unless there is a GPU.
_MAX_IMAGES = 2000
_SMALL_PIXELS = 48 * 48


def load_classifier(run: Run | ModelFile, num_images: int) -> Predictor | ModelFile:
    """Return a classifier: for a run, its `model.onnx` or its network with TensorFlow.

    `model.onnx` serves if it belongs to the present weights of the run: it starts in a tenth of TensorFlow's time, and
    its probabilities agree to 1e-5.

    Args:
        run: the run, or a model file, which is returned.
        num_images: number of images to classify.

    Raises:
        RunError: the run has no weights, or they are damaged.
    """
    if isinstance(run, ModelFile):
        return run
    return _inference_onnx(run, num_images) or _predictor(run)


def load_ood_detector(run: Run, num_images: int) -> OodDetector:
    """Return the detector that gives class probabilities and OOD p-values, by `model.onnx` or with TensorFlow.

    Raises:
        RunError: the run has no weights or OOD statistics, or they are damaged.
    """
    model = _inference_onnx(run, num_images)
    detector = None if model is None else OodDetector.of_onnx(run, model)
    return detector or OodDetector.of_predictor(run, _predictor(run))


def _inference_onnx(run: Run, num_images: int) -> OnnxModel | None:
    is_small = run.preprocessing.height * run.preprocessing.width <= _SMALL_PIXELS
    if num_images > _MAX_IMAGES and (is_small or may_have_gpu()):
        return None
    return load_inference_onnx(run)


def _predictor(run: Run) -> Predictor:
    from saccade.inference.predictor import Predictor  # loads TensorFlow

    return Predictor.from_run(run)
