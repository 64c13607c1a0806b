"""Final comparison of a tuning: the best settings and the unchanged recipe, each trained with three seeds.

The validation accuracy of the best trial is optimistic, because the same images selected the trial. The best settings
and the unchanged recipe are therefore trained again with other seeds, which hold out other validation images, and
compared on the test images, which no trial uses.
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
"""Number of trainings of the best settings, and of the unchanged recipe."""


def compare_with_default(
    dataset: Dataset, recipes: Mapping[str, Recipe], folder: Path, *, progress: bool
) -> Comparison | None:
    """Train the missing runs, evaluate all runs and compare them. One process works, and other processes wait.

    Args:
        dataset: dataset with a test split.
        recipes: folder name -> recipe: the best settings, then the unchanged recipe. The seeds of the runs follow the
            seed of the recipe, which the trials have used.
        folder: directory of the study.
        progress: log the trainings on stderr.

    Returns:
        Comparison; None if the user interrupted a training.

    Raises:
        TrainingError: a training diverged.
        EvaluationError: the data has no test images.
    """
    home = folder / "final"
    home.mkdir(exist_ok=True)
    with FileLock(home / "final.lock"):
        runs: list[Run] = []
        for name, recipe in recipes.items():
            trained = _train_runs(dataset, recipe, home / name, progress=progress)
            if trained is None:
                return None
            runs += trained
        # A second comparison of the same predictions has the same result.
        shutil.rmtree(folder / "comparison", ignore_errors=True)
        return compare(runs, out=folder / "comparison", progress=progress)


def final_runs(recipes: Mapping[str, Recipe], folder: Path) -> list[tuple[str, Recipe, Path]]:
    """Return folder name, recipe with its seed, and run directory of each run of the comparison."""
    return [
        (name, recipe.with_settings({"seed": seed}), folder / "final" / name / f"seed-{seed}")
        for name, recipe in recipes.items()
        for seed in range(recipe.seed + 1, recipe.seed + 1 + SEEDS)
    ]


def _train_runs(dataset: Dataset, recipe: Recipe, home: Path, *, progress: bool) -> list[Run] | None:
    """Return the runs of the next three seeds; None if the user interrupted a training."""
    for place in home.glob("seed-*"):
        if not (place / "recipe.json").is_file():
            shutil.rmtree(place)  # left by a process that was killed before it wrote a run
    seeds = {"seed": recipe.seed + 1}
    runs = []
    for training in train_seeds(dataset, SEEDS, recipe=recipe, out=home, settings=seeds, progress=progress):
        if training.error is not None:
            raise training.error
        if training.run is None or training.run.status().state == "interrupted":
            return None
        runs.append(training.run)
    return runs
