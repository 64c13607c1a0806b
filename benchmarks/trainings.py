"""`saccade train` as a whole command, and the epochs of the run that it leaves."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass

from processes import SACCADE, timed

from saccade.runs.run import Run


@dataclass(frozen=True)
class Epoch:
    """An epoch of a training.

    Attributes:
        phase: "plain" or "augmented".
        seconds: wall-clock time, validation included.
        validation_accuracy: after it, 0 to 1; None without validation images.
    """

    phase: str
    seconds: float
    validation_accuracy: float | None


@dataclass(frozen=True)
class Training:
    """A training that has ended.

    Attributes:
        run: what it left.
        validation_accuracy: of the kept weights, 0 to 1; None without validation images.
        seconds: wall-clock time of the whole command.
        peak_memory_mb: largest resident size, in megabytes (10^6 bytes).
    """

    run: Run
    validation_accuracy: float | None
    seconds: float
    peak_memory_mb: float


def train(data: str, *, recipe: str, seed: int, settings: Sequence[str]) -> Training:
    """Runs `saccade train DATA --recipe RECIPE` into the first free run directory.

    Args:
        data: a name or a path.
        recipe: a named one.
        seed: of the training.
        settings: recipe keys to change, each as KEY=VALUE.

    Raises:
        SaccadeError: the command failed.
    """
    changes = [argument for setting in settings for argument in ("--set", setting)]
    done = timed([*SACCADE, "train", data, "--recipe", recipe, "--seed", str(seed), *changes, "--json"])
    result = json.loads(done.output)
    return Training(Run.open(result["run"]), result["validation_accuracy"], done.seconds, done.peak_memory_mb)


def epochs_of(run: Run) -> list[Epoch]:
    """The run's epochs, in order."""
    seconds = _timings(run, "seconds")
    return [
        Epoch(record.phase, took, record.validation_accuracy)
        for record, took in zip(run.history(), seconds, strict=True)
    ]


def rates_of(run: Run) -> list[float]:
    """Training images per second of each of the run's epochs, validation included, in order."""
    return _timings(run, "images_per_second")


def _timings(run: Run, column: str) -> list[float]:
    with (run.path / "timings.csv").open(newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file)]
