"""Accuracy of `fast` and of `two-phase` with equal training times, on data sets that differ from CIFAR-10.

    python benchmarks/other_data.py DATA [--seeds 1] [--only NAME]

DATA is CIFAR-10 or a copy of it; `made_data.py` describes the three data sets derived from it. On each data set, `fast`
is trained without changes. Then `two-phase` is trained for the number of epochs that takes at least as long as the
epochs of `fast`; the time of an epoch is measured in a training of two epochs. Both are scored once on the test split
at the end, by `saccade evaluate`. The runs stay in `runs/`.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from made_data import SETS, make_data
from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results
from trainings import epochs_of, train

from saccade.data.load import load
from saccade.recipes import get_recipe
from saccade.runs.run import Run


@dataclass(frozen=True)
class Trial:
    """A training and its scores on the test split.

    Attributes:
        epochs: number of trained epochs.
        seconds: wall-clock time of all epochs, validation included.
        accuracy: accuracy on the test split, 0 to 1.
        balanced_accuracy: mean recall over the classes, 0 to 1.
        interval: 95% Wilson interval of the accuracy.
        images: number of scored images.
    """

    epochs: int
    seconds: float
    accuracy: float
    balanced_accuracy: float
    interval: tuple[float, float]
    images: int


def main() -> None:
    """Create the data, train both recipes on each data set, print and save the scores."""
    parser = argparse.ArgumentParser(description="Compares fast with two-phase, in the same time, on other data.")
    parser.add_argument("data", metavar="DATA", help="CIFAR-10 or a copy of it: a name, a folder or an archive")
    parser.add_argument("--seeds", type=at_least_one, default=1, help="trainings per recipe; seeds count from 0")
    parser.add_argument("--only", choices=SETS, help="use only this data set")
    add_results_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, path in make_data(load(options.data, progress=True), Path(folder), options.only).items():
            trials: dict[str, list[Trial]] = {"fast": [], "two-phase": []}
            for seed in range(options.seeds):
                fast = run_trial(path, "fast", seed, {})
                trials["fast"].append(fast)
                settings = two_phase_settings(epochs_for(path, seed, fast.seconds))
                trials["two-phase"].append(run_trial(path, "two-phase", seed, settings))
            keep_results("other_data", results_of(name, trials), options.results)


def epochs_for(data: Path, seed: int, seconds: float) -> int:
    """Return the number of epochs in which `two-phase` takes at least `seconds`."""
    run = train(str(data), recipe="two-phase", seed=seed, settings=as_options(two_phase_settings(2))).run
    pace = statistics.mean(epoch.seconds for epoch in epochs_of(run))
    return max(2, math.ceil(seconds / pace))


def two_phase_settings(epochs: int) -> dict[str, int]:
    """Return the settings for a number of epochs, divided between both phases as in the recipe."""
    recipe = get_recipe("two-phase").with_epochs(epochs)
    return {"plain_epochs": recipe.plain_epochs, "augmented_epochs": recipe.augmented_epochs}


def as_options(settings: dict[str, int]) -> list[str]:
    """Return settings as KEY=VALUE, for the command line."""
    return [f"{key}={value}" for key, value in settings.items()]


def run_trial(data: Path, recipe: str, seed: int, settings: dict[str, int]) -> Trial:
    """Train, score and print a trial."""
    run = train(str(data), recipe=recipe, seed=seed, settings=as_options(settings)).run
    trial = scored(run)
    low, high = trial.interval
    print(
        f"{data.name}, {recipe}, seed {seed}: {trial.epochs} epochs, {trial.seconds:.0f} s, test accuracy "
        f"{trial.accuracy:.2%} ({low:.2%} to {high:.2%}, n = {trial.images}), balanced {trial.balanced_accuracy:.2%}",
        flush=True,
    )
    return trial


def scored(run: Run) -> Trial:
    """Score a run on its test split, by the command line."""
    report = json.loads(timed([*SACCADE, "evaluate", str(run.path), "--json"]).output)
    epochs = epochs_of(run)
    return Trial(
        epochs=len(epochs),
        seconds=sum(epoch.seconds for epoch in epochs),
        accuracy=report["accuracy"],
        balanced_accuracy=report["balanced_accuracy"],
        interval=tuple(report["accuracy_interval"]),
        images=report["n"],
    )


def results_of(data: str, trials: dict[str, list[Trial]]) -> list[Result]:
    """Return time and scores of each recipe on one data set, one value per seed."""
    return [
        result
        for recipe, of_seeds in trials.items()
        for note in [f"{of_seeds[0].epochs} epochs; {of_seeds[0].images} test images"]
        for result in (
            Result(f"{data}, {recipe}", "all epochs", "s", [trial.seconds for trial in of_seeds], note),
            Result(f"{data}, {recipe}", "test accuracy", "fraction", [trial.accuracy for trial in of_seeds], note),
            Result(
                f"{data}, {recipe}", "balanced test accuracy", "fraction",
                [trial.balanced_accuracy for trial in of_seeds], note,
            ),
        )
    ]  # fmt: skip


if __name__ == "__main__":
    run_program(main)
