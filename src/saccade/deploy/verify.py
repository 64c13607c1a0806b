"""verify: asks an export, in a clean process, for the probabilities that its run gives."""

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
from saccade.deploy.verify_worker import Question, Speed
from saccade.errors import ExportError
from saccade.inference.predictor import Predictor
from saccade.models.agreement import disagreement
from saccade.models.batched_inference import forward
from saccade.runs.run import Run
from saccade.sanitize import plural
from saccade.typed_json import from_json, to_json

_POINTS = 0.005
_CHECKER = Path(__file__).with_name("verify_worker.py")
_RANDOM_IMAGES = 32
_QUOTED_LINES = 5


@dataclass(frozen=True)
class Check:
    """What an export has to agree with.

    Attributes:
        images: uint8 [n, height, width, 3].
        probabilities: float32 [n, classes], the run's own.
        origin: where the images come from: "validation" or "random".
        labels: of the images, int64 [n]; None for random ones.
        unfolded: gives what the run's network says before its normalization is folded, float32 [n, classes]: the same
            but for rounding. None: that is not known.
    """

    images: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    origin: str
    labels: NDArray[np.int64] | None
    unfolded: Callable[[], NDArray[np.float32]] | None = None


def check_for(run: Run, predictor: Predictor) -> Check:
    """The run's validation images, or fixed random ones if it kept none, with the run's probabilities."""
    images, truth = run.validation_images()
    origin, labels = "validation", None if not len(truth) else truth
    if not len(images):
        shape = (_RANDOM_IMAGES, run.preprocessing.height, run.preprocessing.width, 3)
        images, origin = np.random.default_rng(0).integers(0, 256, shape, np.uint8), "random"
    import keras

    # On the processor, here and in the clean process: a GPU rounds otherwise (TensorFloat-32) and may be full.
    with keras.device("cpu"):
        return Check(images, predictor.probabilities(images), origin, labels, partial(_unfolded, predictor, images))


def _unfolded(predictor: Predictor, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    import keras

    with keras.device("cpu"):
        return forward(predictor.model, images.__getitem__, len(images))


@dataclass(frozen=True)
class Verified:
    """What a process of its own found out about an export.

    Attributes:
        predictions: its own, [n, classes].
        max_abs_error: between these and the run's probabilities, over all images and classes.
        same_class: the part of the images that get the class that the run gives.
        speed: how fast the export is; None unless asked for.
    """

    predictions: NDArray[Any]
    max_abs_error: float
    same_class: float
    speed: Speed | None


def verify(form: str, export: Path, check: Check, *, timed: bool = False) -> Verified:
    """Opens an export in a process of its own, without Saccade, and compares what it says.

    Args:
        form: one of `saccade.deploy.formats.FORMATS`.
        export: the file or directory.
        check: images and the run's probabilities.
        timed: whether to measure how fast it is, before it answers.

    Raises:
        ExportError: the export does not open, or does not agree as its format has to.
    """
    predictions, speed = _run_export(form, export, check.images, timed=timed)
    return Verified(predictions, *agreement(form, predictions, check), speed)


def agreement(form: str, predictions: NDArray[Any], check: Check) -> tuple[float, float]:
    """How an export's answers, [n, classes], agree with the run's probabilities.

    Returns:
        The largest absolute difference between the two, over all images and classes, and the part of the images
        that get the same class.

    Raises:
        ExportError: a probability differs by more than the format allows or is no number, an image gets another class
            (ties aside), or in eight bits the accuracy is another by more than half a point, and more than one image.
            Deep networks are allowed four times what rounding does to their own answers, 1e-4 at most.
    """
    if predictions.dtype != np.float32 or predictions.shape != check.probabilities.shape:
        raise _disagreement(
            form, check, f"float32 of shape {check.probabilities.shape}", f"{predictions.dtype} {predictions.shape}"
        )
    tolerance, n = FORMATS[form].tolerance, len(predictions)
    difference = float(np.abs(predictions - check.probabilities).max())
    expected, found = check.probabilities.argmax(axis=1), predictions.argmax(axis=1)
    if tolerance is None:
        truth = expected if check.labels is None else check.labels
        change = abs(int((found == truth).sum()) - int((expected == truth).sum()))
        if not np.isfinite(difference) or change > max(1, _POINTS * n):
            raise _disagreement(
                form, check, f"as many correct predictions, to {_POINTS:.1%}", f"{change} more or fewer of {n}"
            )
    elif problem := disagreement(predictions, check.probabilities, tolerance, check.unfolded):
        raise _disagreement(form, check, *problem)
    return difference, float((expected == found).mean())


def _run_export(
    form: str, export: Path, images: NDArray[np.uint8], *, timed: bool
) -> tuple[NDArray[Any], Speed | None]:
    with tempfile.TemporaryDirectory(prefix="saccade-export-") as scratch:
        inputs, outputs = Path(scratch) / "images.npy", Path(scratch) / "predictions.npy"
        np.save(inputs, images, allow_pickle=False)
        # -P, not -I: TensorFlow may be installed where only the user's own environment variables lead.
        started = time.monotonic() if timed else None
        question = Question(form, str(export.absolute()), str(inputs), str(outputs), started)
        command = [sys.executable, "-P", str(_CHECKER), to_json(question)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-_QUOTED_LINES:]
            raise ExportError(
                "the export was written but could not be opened again, so it was removed",
                expected="a file that opens without Saccade, and without TensorFlow where its format needs none",
                found="\n    ".join(last) or f"exit code {done.returncode}",
            )
        predictions: NDArray[Any] = np.load(outputs, allow_pickle=False)
        # The last line: what opens the export may print lines of its own.
        return predictions, from_json(Speed, done.stdout.splitlines()[-1]) if timed else None


def _disagreement(form: str, check: Check, expected: str, found: str) -> ExportError:
    coarse = form in ("litert-float16", "litert-int8")
    return ExportError(
        "the export does not give the run's answers, so it was removed",
        expected=f"{expected}, on {len(check.images)} {check.origin} {plural(len(check.images), 'image')}",
        found=found,
        remedy="this network does not bear weights so coarse: take --format litert, which is exact"
        if coarse
        else "train again if the run's files were changed; otherwise this is a fault of Saccade's to report",
    )
