"""verify: asks an export, in a clean process, for the probabilities that its run gives."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.errors import ExportError
from saccade.inference.predictor import Predictor
from saccade.runs.run import Run

TOLERANCE = 1e-5
_CHECKER = Path(__file__).with_name("check_export.py")
_RANDOM_PICTURES = 32
_QUOTED_LINES = 5


@dataclass(frozen=True)
class Check:
    """What an export has to agree with.

    Attributes:
        pictures: uint8 [n, height, width, 3].
        probabilities: float32 [n, classes], the run's own.
        origin: where the pictures come from: "validation" or "random".
    """

    pictures: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    origin: str


def check_for(run: Run, predictor: Predictor) -> Check:
    """The run's validation pictures, or fixed random ones if it kept none, with the run's probabilities."""
    pictures, _ = run.validation_pictures()
    origin = "validation"
    if not len(pictures):
        shape = (_RANDOM_PICTURES, run.rule.height, run.rule.width, 3)
        pictures, origin = np.random.default_rng(0).integers(0, 256, shape, np.uint8), "random"
    import keras

    # On the processor, here and in the clean process: a GPU rounds otherwise (TensorFloat-32) and may be full.
    with keras.device("cpu"):
        return Check(pictures, predictor.probabilities(pictures), origin)


def verify(form: str, export: Path, check: Check) -> float:
    """Opens an export in a process of its own, without Saccade, and compares what it says.

    Args:
        form: one of `saccade.deploy.export.FORMATS`.
        export: the file or directory.
        check: pictures and the run's probabilities.

    Returns:
        The largest absolute difference between the two, over all pictures and classes.

    Raises:
        ExportError: the export does not open, or differs by more than 1e-5.
    """
    return largest_difference(_answers(form, export, check.pictures), check)


def largest_difference(answers: NDArray[Any], check: Check) -> float:
    """The largest absolute difference between an export's answers, [n, classes], and the run's probabilities.

    Raises:
        ExportError: it is more than 1e-5 or no number, or the answers are not float32 of the same shape.
    """
    if answers.dtype != np.float32 or answers.shape != check.probabilities.shape:
        raise _disagreement(check, f"{answers.dtype} of shape {answers.shape}")
    difference = float(np.abs(answers - check.probabilities).max())
    # Not `difference > TOLERANCE`, which is false when an answer is not a number.
    if not difference <= TOLERANCE:
        raise _disagreement(check, f"a largest difference of {difference:.2g}")
    return difference


def _answers(form: str, export: Path, pictures: NDArray[np.uint8]) -> NDArray[Any]:
    with tempfile.TemporaryDirectory(prefix="saccade-export-") as scratch:
        asked, answered = Path(scratch) / "pictures.npy", Path(scratch) / "answers.npy"
        np.save(asked, pictures, allow_pickle=False)
        # -P, not -I: TensorFlow may be installed where only the user's own environment variables lead.
        command = [sys.executable, "-P", str(_CHECKER), form, str(export.absolute()), str(asked), str(answered)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-_QUOTED_LINES:]
            raise ExportError(
                "the export was written but could not be opened again, so it was removed",
                expected="a file that opens with stock Keras, where Saccade is not installed",
                found="\n    ".join(last) or f"exit code {done.returncode}",
            )
        answers: NDArray[Any] = np.load(answered, allow_pickle=False)
        return answers


def _disagreement(check: Check, found: str) -> ExportError:
    return ExportError(
        "the export does not give the run's probabilities, so it was removed",
        expected=f"float32 of shape {check.probabilities.shape}, within {TOLERANCE:.0e} on {len(check.pictures)} "
        f"{check.origin} pictures",
        found=found,
        remedy="train again if the run's files were changed; otherwise this is a fault of Saccade's to report",
    )
