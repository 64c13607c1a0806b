"""Test accuracy and time of the default command on photographs.

    python benchmarks/photos.py DATA... [--trials 3] [--minutes N]

Each trial is a whole `saccade train DATA` from an empty cache, followed by `saccade evaluate`. For data with a test
split of its own, trials differ in the seed. For other data, each trial draws its own test split: a random fifth of the
images, near-duplicates on one side.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from photo_trials import prepare_trial
from processes import SACCADE, at_least_one, timed
from results import Result, add_results_option, keep_results


@dataclass(frozen=True)
class Trial:
    """A training by the default command, scored on the test split.

    Attributes:
        seconds: wall-clock time of the whole command.
        peak_memory_mb: maximum resident set size, in megabytes (10^6 bytes).
        accuracy: accuracy on the test split, 0 to 1.
        log_loss: log-loss on the test split, in nats.
        calibration_error: expected calibration error on the test split.
        images: number of test images.
    """

    seconds: float
    peak_memory_mb: float
    accuracy: float
    log_loss: float
    calibration_error: float
    images: int


def main() -> None:
    """Run the trials, print and save the results."""
    parser = argparse.ArgumentParser(description="Accuracy and time of `saccade train` on photographs.")
    parser.add_argument("data", metavar="DATA", nargs="+", type=Path, help="folder of photographs")
    parser.add_argument("--trials", type=at_least_one, default=3, help="number of seeds or of draws")
    parser.add_argument("--minutes", help="time budget of the training; default: none")
    add_results_option(parser)
    options = parser.parse_args()
    for path in options.data:
        trials = [_trial(path.resolve(), number, options.minutes) for number in range(options.trials)]
        command = "default" if options.minutes is None else f"--minutes {options.minutes}"
        keep_results("photos", _results(f"{path.name}, {command}", trials), options.results)


def _trial(path: Path, number: int, minutes: str | None) -> Trial:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SACCADE_CACHE"] = f"{folder}/cache-of-draw"
        data = prepare_trial(path, number, Path(folder))
        os.environ["SACCADE_CACHE"] = f"{folder}/cache"
        run = f"{folder}/run"
        budget = [] if minutes is None else ["--minutes", minutes]
        done = timed([*SACCADE, "train", str(data.folder), "--seed", str(data.seed), "--out", run, "--json", *budget])
        report = json.loads(timed([*SACCADE, "evaluate", run, "--json"]).output)
    trial = Trial(
        seconds=done.seconds,
        peak_memory_mb=done.peak_memory_mb,
        accuracy=report["accuracy"],
        log_loss=report["log_loss"],
        calibration_error=report["expected_calibration_error"],
        images=report["n"],
    )
    print(trial, flush=True)
    return trial


def _results(subject: str, trials: list[Trial]) -> list[Result]:
    quantities = {
        "seconds": "s",
        "peak_memory_mb": "MB",
        "accuracy": "fraction",
        "log_loss": "nats",
        "calibration_error": "fraction",
    }
    note = f"{trials[0].images:,} test images" if len({trial.images for trial in trials}) == 1 else "random fifths"
    return [
        Result(subject, name.replace("_", " "), unit, [getattr(trial, name) for trial in trials], note)
        for name, unit in quantities.items()
    ]


if __name__ == "__main__":
    main()
