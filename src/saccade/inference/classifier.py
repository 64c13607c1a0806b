"""Classifier of a run, by the runtime that is faster for a number of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saccade.inference.model_file import ModelFile
from saccade.inference.onnx_model import OnnxModel, load_inference_onnx
from saccade.inference.ood_detector import OodDetector
from saccade.onnx_session import is_faster_than_tensorflow
from saccade.runs.run import Run

if TYPE_CHECKING:
    from saccade.inference.predictor import Predictor


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
    if not is_faster_than_tensorflow(num_images, run.preprocessing.height, run.preprocessing.width):
        return None
    return load_inference_onnx(run)


def _predictor(run: Run) -> Predictor:
    from saccade.inference.predictor import Predictor  # loads TensorFlow

    return Predictor.from_run(run)
