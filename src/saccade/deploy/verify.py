"""verify: compare the probabilities of an export, in a clean process, with those of its run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.deploy.formats import FORMATS
from saccade.deploy.verify_worker import Speed, VerifyRequest
from saccade.errors import ExportError
from saccade.inference.predictor import Predictor
from saccade.models.agreement import disagreement, random_images
from saccade.models.batched_inference import forward
from saccade.runs.run import Run
from saccade.sanitize import plural
from saccade.typed_json import from_json, to_json

_MAX_ACCURACY_LOSS = 0.005
_CHANCE = 1.645  # standard errors of the number of correct predictions: one-sided, at the level of 5%
_WORKER = Path(__file__).with_name("verify_worker.py")
_ERROR_LINES = 5


@dataclass(frozen=True)
class Reference:
    """Images with the reference probabilities of the run.

    Attributes:
        images: images, uint8 [n, height, width, 3].
        probabilities: probabilities of the run, float32 [n, classes].
        origin: origin of the images: "validation" or "random".
        labels: labels of the images, int64 [n]; None for random images.
        unfolded: function that computes the probabilities without batch-norm folding, float32 [n, classes]; they differ
            from `probabilities` by rounding alone. None: unknown.
    """

    images: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    origin: str
    labels: NDArray[np.int64] | None
    unfolded: Callable[[], NDArray[np.float32]] | None = None


def make_reference(run: Run, predictor: Predictor) -> Reference:
    """Return the run's validation images, or random images if it kept none, with the run's probabilities."""
    images, true_labels = run.validation_images()
    origin, labels = "validation", None if not len(true_labels) else true_labels
    if not len(images):
        images, origin = random_images(run.preprocessing.height, run.preprocessing.width), "random"
    import keras

    # On the CPU, here and in the clean process: a GPU rounds differently (TensorFloat-32), and its memory may be full.
    with keras.device("cpu"):
        return Reference(images, predictor.probabilities(images), origin, labels, partial(_unfolded, predictor, images))


def _unfolded(predictor: Predictor, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    import keras

    with keras.device("cpu"):
        return forward(predictor.model, images)


@dataclass(frozen=True)
class Verification:
    """Result of a verification.

    Attributes:
        probabilities: probabilities of the export, [n, classes].
        max_abs_error: largest absolute difference from the run's probabilities, over all images and classes.
        same_class: share of the images for which the export predicts the class of the run, 0 to 1.
        speed: speed of the export; None unless measured.
    """

    probabilities: NDArray[Any]
    max_abs_error: float
    same_class: float
    speed: Speed | None


def verify(form: str, export: Path, reference: Reference, *, timed: bool = False) -> Verification:
    """Open an export in a process without Saccade, and compare its probabilities with those of the run.

    Args:
        form: one of `saccade.deploy.formats.FORMATS`.
        export: the file or directory.
        reference: images with the probabilities of the run.
        timed: whether to measure the speed of the export.

    Raises:
        ExportError: the export does not open, or differs by more than its format allows.
    """
    probabilities, speed = _run_export(form, export, reference.images, timed=timed)
    return Verification(probabilities, *agreement(form, probabilities, reference), speed)


def agreement(form: str, probabilities: NDArray[Any], reference: Reference) -> tuple[float, float]:
    """Compare the probabilities of an export, [n, classes], with those of the run.

    Returns:
        The largest absolute difference over all images and classes, and the share of the images with the same
        predicted class.

    Raises:
        ExportError: a probability differs by more than the format allows or is not a number, or a predicted class
            differs (ties aside). For eight bits: the number of correct predictions falls by more than half a percent
            of the images and 1.645 standard errors. For a deep network the tolerance is four times the rounding error
            of its own probabilities, at most 1e-4, where this is larger.
    """
    if probabilities.dtype != np.float32 or probabilities.shape != reference.probabilities.shape:
        raise _disagreement(
            form,
            reference,
            f"float32 of shape {reference.probabilities.shape}",
            f"{probabilities.dtype} {probabilities.shape}",
        )
    tolerance, n = FORMATS[form].tolerance, len(probabilities)
    difference = float(np.abs(probabilities - reference.probabilities).max())
    expected, found = reference.probabilities.argmax(axis=1), probabilities.argmax(axis=1)
    if tolerance is None:
        true_labels = expected if reference.labels is None else reference.labels
        gains = (found == true_labels).astype(np.int64) - (expected == true_labels)
        loss, changed = -int(gains.sum()), int(np.abs(gains).sum())
        if not np.isfinite(difference) or loss - _CHANCE * changed**0.5 > _MAX_ACCURACY_LOSS * n:
            raise _disagreement(
                form,
                reference,
                f"as many correct predictions, within {_MAX_ACCURACY_LOSS:.1%} and chance",
                f"{loss} fewer of {n}",
            )
    elif problem := disagreement(probabilities, reference.probabilities, tolerance, reference.unfolded):
        raise _disagreement(form, reference, *problem)
    return difference, float((expected == found).mean())


def _run_export(
    form: str, export: Path, images: NDArray[np.uint8], *, timed: bool
) -> tuple[NDArray[Any], Speed | None]:
    with tempfile.TemporaryDirectory(prefix="saccade-export-") as scratch:
        inputs, outputs = Path(scratch) / "images.npy", Path(scratch) / "probabilities.npy"
        np.save(inputs, images, allow_pickle=False)
        # -P instead of -I, because the user's environment variables may give the folder of TensorFlow.
        started = time.monotonic() if timed else None
        request = VerifyRequest(form, str(export.absolute()), str(inputs), str(outputs), started)
        command = [sys.executable, "-P", str(_WORKER), to_json(request)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-_ERROR_LINES:]
            raise ExportError(
                "the export was written but could not be opened again, so it was removed",
                expected="a file that opens without Saccade, and without TensorFlow where its format needs none",
                found="\n    ".join(last) or f"exit code {done.returncode}",
            )
        probabilities: NDArray[Any] = np.load(outputs, allow_pickle=False)
        # The last line, because the runtime may print lines before.
        return probabilities, from_json(Speed, done.stdout.splitlines()[-1]) if timed else None


def _disagreement(form: str, reference: Reference, expected: str, found: str) -> ExportError:
    reduced_precision = form in ("litert-float16", "litert-int8")
    return ExportError(
        "the export does not give the run's probabilities, so it was removed",
        expected=f"{expected}, on {len(reference.images)} {reference.origin} {plural(len(reference.images), 'image')}",
        found=found,
        remedy="this network needs more precise weights: take --format litert, which is exact"
        if reduced_precision
        else "train again if the run's files were changed; otherwise please report this as a bug of Saccade",
    )
