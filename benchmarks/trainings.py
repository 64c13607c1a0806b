"""`saccade train` as a whole command, and the epochs of its run."""

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
        phase: phase of the recipe, "plain" or "augmented".
        seconds: wall-clock time, validation included.
        validation_accuracy: validation accuracy after the epoch, 0 to 1; None without validation images.
    """

    phase: str
    seconds: float
    validation_accuracy: float | None


@dataclass(frozen=True)
class Training:
    """A finished training.

    Attributes:
        run: run of the training.
        validation_accuracy: validation accuracy of the kept weights, 0 to 1; None without validation images.
        seconds: wall-clock time of the whole command.
        peak_memory_mb: maximum resident set size, in megabytes (10^6 bytes).
    """

    run: Run
    validation_accuracy: float | None
    seconds: float
    peak_memory_mb: float


def train(data: str, *, recipe: str, seed: int, settings: Sequence[str]) -> Training:
    """Run `saccade train DATA --recipe RECIPE` with the next free run directory.

    Args:
        data: name or path of the data.
        recipe: name of the recipe.
        seed: seed of the training.
        settings: changed recipe keys, each as KEY=VALUE.

    Raises:
        SaccadeError: the command failed.
    """
    changes = [argument for setting in settings for argument in ("--set", setting)]
    done = timed([*SACCADE, "train", data, "--recipe", recipe, "--seed", str(seed), *changes, "--json"])
    result = json.loads(done.output)
    return Training(Run.open(result["run"]), result["validation_accuracy"], done.seconds, done.peak_memory_mb)


def epochs_of(run: Run) -> list[Epoch]:
    """Return the epochs of a run, in order."""
    seconds = _timings(run, "seconds")
    return [
        Epoch(record.phase, duration, record.validation_accuracy)
        for record, duration in zip(run.history(), seconds, strict=True)
    ]


def rates_of(run: Run) -> list[float]:
    """Return training images per second of each epoch of a run, validation included, in order."""
    return _timings(run, "images_per_second")


def _timings(run: Run, column: str) -> list[float]:
    with (run.path / "timings.csv").open(newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file)]
