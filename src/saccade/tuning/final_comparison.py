"""The end of a tuning: the winner and the recipe as it is, each trained over three seeds, side by side.

The trial that won is no fair measure of its settings: it is the best of many on the very images that chose it. So
both are trained anew, with seeds that hold out other validation images, and are compared on test images, which no
trial has seen.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from saccade.data.dataset import Dataset
from saccade.evaluation.compare.compare import compare
from saccade.evaluation.compare.comparison import Comparison
from saccade.recipes import Recipe
from saccade.runs.run import Run
from saccade.training.seeds import train_seeds

SEEDS = 3
"""Trainings of each."""


def compare_with_default(
    dataset: Dataset, recipes: Mapping[str, Recipe], folder: Path, *, progress: bool
) -> Comparison | None:
    """Trains what is not trained yet, evaluates and compares. Of several processes one does it, and the others wait.

    Args:
        dataset: with a test split.
        recipes: folder name -> recipe: the winner's first, then the recipe as it is. Their seed was chosen with, and
            is not used again.
        folder: of the study.
        progress: whether to tell on stderr how it goes.

    Returns:
        The comparison; None if the user interrupted a training.

    Raises:
        TrainingError: a training diverged.
        EvaluationError: the data has no test images.
    """
    home = folder / "final"
    home.mkdir(exist_ok=True)
    with FileLock(home / "final.lock"):
        runs: list[Run] = []
        for name, recipe in recipes.items():
            trained = _trained(dataset, recipe, home / name, progress=progress)
            if trained is None:
                return None
            runs += trained
        # Another look at the same answers gives the same again.
        shutil.rmtree(folder / "comparison", ignore_errors=True)
        return compare(runs, out=folder / "comparison", progress=progress)


def _trained(dataset: Dataset, recipe: Recipe, home: Path, *, progress: bool) -> list[Run] | None:
    """The runs of the next three seeds; None if the user interrupted one."""
    for place in home.glob("seed-*"):
        if not (place / "recipe.json").is_file():
            shutil.rmtree(place)  # a process was killed before it had made a run of it
    seeds = {"seed": recipe.seed + 1}
    runs = []
    for training in train_seeds(dataset, SEEDS, recipe=recipe, out=home, settings=seeds, progress=progress):
        if training.error is not None:
            raise training.error
        if training.run is None or training.run.status().state == "interrupted":
            return None
        runs.append(training.run)
    return runs
