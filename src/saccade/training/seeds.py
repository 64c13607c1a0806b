"""Trainings of one recipe with several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset
from saccade.data.default_recipe import default_recipe_of
from saccade.errors import RunError, SaccadeError, TrainingError
from saccade.named_paths import out_path
from saccade.recipes import Recipe
from saccade.runs.run import Run, has_ended, is_run
from saccade.training.progress import Progress
from saccade.training.repeated_training import Method, require_same
from saccade.training.train import resolve_recipe


@dataclass(frozen=True)
class SeedTraining:
    """Result of the training with one seed.

    Attributes:
        seed: the seed.
        run: the run; None if the training failed.
        error: the error; None if the training succeeded.
        was_there: whether the run had ended before, so that nothing was trained.
    """

    seed: int
    run: Run | None
    error: SaccadeError | None = None
    was_there: bool = False


def train_seeds(
    dataset: Dataset,
    seeds: int,
    *,
    recipe: str | Recipe | None = None,
    out: str | Path | None = None,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool | Progress = True,
) -> Iterator[SeedTraining]:
    """Train one run for each seed, from the recipe's seed upward, and yield the result of each.

    A run in the folder `out` that has ended is left unchanged, and one that was killed or interrupted is resumed. After
    a failed training the next seed is trained; after an interrupted one, no more seeds are trained.

    Args:
        dataset: the data.
        seeds: number of seeds, at least 1.
        recipe: the name of a recipe, or a recipe. None: the default recipe for the image size.
        out: the folder of the runs `seed-0`, `seed-1` and so on. None: each run gets the first free
            `runs/<data>-<recipe>-<n>`.
        epochs: as for `train`.
        settings: recipe keys to change; "seed" is the first seed.
        progress: True for progress on standard error, False for none, or progress callbacks.

    Raises:
        RecipeError: the recipe, a key or a value is unknown.
        RunError: `out` is a run, or contains runs of another recipe or other data.
    """
    default = default_recipe_of(dataset)
    resolved = resolve_recipe(default if recipe is None else recipe, epochs, settings)
    for method, place in plan_seeds(dataset, seeds, resolved, out):
        training = _train_one(dataset, method, place, progress=progress)
        yield training
        if training.run is not None and training.run.status().state == "interrupted":
            return


def check_folder(out: str | Path) -> None:
    """Raise an error if the folder for several runs is a run itself, or a file.

    Raises:
        RunError: the path is a run or a file.
    """
    path = out_path(out, RunError)
    if path is not None and path.exists() and (not path.is_dir() or (path / "recipe.json").exists()):
        raise RunError(
            f"'{path}' is {'a run itself' if path.is_dir() else 'a file'}",
            expected="a folder for several runs, or a name that is not used yet",
            remedy="name another one with --out, or omit --out: runs are then numbered",
        )


def plan_seeds(
    dataset: Dataset, seeds: int, recipe: Recipe, out: str | Path | None
) -> list[tuple[Method, Path | None]]:
    """Return the method and the directory of each run, None for a numbered one.

    Raises:
        RunError: `out` is a run or a file, or existing runs in it have another recipe or other data.
    """
    first = Method(recipe)
    methods = [first.with_seed(recipe.seed + number) for number in range(seeds)]
    if out is None:
        return [(method, None) for method in methods]
    check_folder(out)
    places = [Path(out) / f"seed-{method.recipe.seed}" for method in methods]
    for place, method in zip(places, methods, strict=True):
        if is_run(place):
            require_same(Run.open(place), method.recipe, dataset)
    return list(zip(methods, places, strict=True))


def _train_one(dataset: Dataset, method: Method, place: Path | None, *, progress: bool | Progress) -> SeedTraining:
    seed = method.recipe.seed
    try:
        was_there = place is not None and is_run(place) and has_ended(Run.open(place))
        return SeedTraining(seed, method.train(dataset, place, progress=progress), was_there=was_there)
    except (TrainingError, RunError) as error:
        return SeedTraining(seed, None, error)
