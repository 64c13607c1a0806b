"""The `model.onnx` of a run, with which `predict` and `serve` classify images without loading TensorFlow.

For a network with pretrained features, its second output are the features for the OOD p-value; with test-time
augmentation, the logits of the image itself, so that `evaluate` has the accuracy without it at no cost.
"""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.errors import ExportError, RunError
from saccade.models.agreement import Probabilities, disagreement, random_images
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.head import with_features
from saccade.models.layer_outputs import inner_network
from saccade.models.onnx.to_onnx import to_onnx
from saccade.models.ood_statistics import has_pretrained_features
from saccade.models.test_time_augmentation import with_logits_without_tta
from saccade.onnx_session import FEATURES, NOTE, PROBABILITIES, WITHOUT_TTA, open_session
from saccade.runs.run import INFERENCE_ONNX, Run

TOLERANCE = 1e-5
"""Largest difference between the probabilities of ONNX Runtime and Keras, apart from rounding."""

# A wrong conversion shows in any image. This number of pixels is computed without a compiled graph, because compiling
# takes longer than the computation.
_CHECKED_PIXELS = 16 * 32 * 32


def write_inference_onnx(run: Run, model: keras.Model) -> None:
    """Write `model.onnx` into a run, after a check that it gives the classes and probabilities of the model.

    Args:
        run: run with its weights and, where there is one, its calibration.
        model: probability model of the run, with these weights and this temperature.

    Raises:
        ExportError: the model can't be converted, or the converted model disagrees. The run stays as it was.
        RunError: the file can't be written.
    """
    # Without test-time augmentation, the features in front of the head cost nothing more.
    has_features = run.ood_statistics() is not None and has_pretrained_features(run.recipe.network)
    has_features = has_features and inner_network(model) is model
    second, extended = None, model
    if has_features:
        second, extended = FEATURES, with_features(model)
    elif run.recipe.tta_views > 1:
        second, extended = WITHOUT_TTA, with_logits_without_tta(model)
    outputs = (PROBABILITIES,) if second is None else (PROBABILITIES, second)
    folded = fold_normalization(extended)
    try:
        contents = to_onnx(folded, {NOTE: run.model_record().model_dump_json()}, outputs)
    except ValueError as error:
        raise ExportError("the network can't be converted to ONNX", found=str(error)) from None
    pixels = _pixels_to_check(run)
    problem = disagreement(
        open_session(contents).run([PROBABILITIES], {"pixels": pixels})[0],
        _on_the_processor(keras.Model(folded.input, folded.outputs[0]), pixels),
        TOLERANCE,
        lambda: _on_the_processor(model, pixels),
    )
    if problem is not None:
        raise ExportError(
            "the model for ONNX Runtime does not give the predictions of the run",
            expected=f"{problem[0]}, on {len(pixels)} images",
            found=problem[1],
            remedy="please report this defect of Saccade",
        )
    try:
        with run.place(INFERENCE_ONNX) as path:
            path.write_bytes(contents)
    except OSError as error:
        raise RunError(f"'{INFERENCE_ONNX}' can't be written into '{run.path}': {error.strerror}") from None


def _pixels_to_check(run: Run) -> NDArray[np.float32]:
    """Return some of the kept validation images, or random images without any, float32 [n, height, width, 3]."""
    images, _ = run.validation_images()
    if not len(images):
        return random_images(run.preprocessing.height, run.preprocessing.width).astype(np.float32)
    n = min(len(images), max(8, _CHECKED_PIXELS // (run.preprocessing.height * run.preprocessing.width)))
    return images[np.linspace(0, len(images) - 1, n).astype(np.int64)].astype(np.float32)


def _on_the_processor(model: keras.Model, pixels: NDArray[np.float32]) -> Probabilities:
    """Return probabilities, float32 [n, classes]. A GPU rounds differently (TensorFloat-32), and may be full.

    Large images are computed one by one: without a compiled graph, all activations of a batch are in memory.
    """
    n = max(1, _CHECKED_PIXELS // (pixels.shape[1] * pixels.shape[2]))
    with keras.device("cpu"):
        parts = [model(pixels[start : start + n], training=False) for start in range(0, len(pixels), n)]
    return np.concatenate([np.asarray(keras.ops.convert_to_numpy(part), np.float32) for part in parts])
