"""train_seeds: the same training several times, with one seed after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset
from saccade.errors import RunError, SaccadeError, TrainingError
from saccade.named_paths import out_path
from saccade.recipes import Recipe, default_recipe_name
from saccade.runs.run import Run
from saccade.training.progress import Progress
from saccade.training.repeated_training import Method, has_ended, is_run, require_same
from saccade.training.train import resolve_recipe


@dataclass(frozen=True)
class SeedTraining:
    """One training of several.

    Attributes:
        seed: of the training.
        run: what it left; None where it failed.
        error: why it failed; None where it did not.
        was_there: whether the run was finished before, so that nothing was trained.
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
    """Trains one run for each seed, beginning with the recipe's own, and tells of each when it has ended.

    In a folder `out` a run that is finished is left as it is, and one that was killed or interrupted is gone on with.
    A training that fails does not keep the others from being made; one that the user interrupts is the last.

    Args:
        dataset: what to train on.
        seeds: how many, at least 1.
        recipe: a named recipe or a value of your own. None: the default for images of this size.
        out: the folder of the runs `seed-0`, `seed-1` and so on. None: each in the first free
            `runs/<data>-<recipe>-<n>`.
        epochs: as for `train`.
        settings: recipe keys to change; "seed" is the first.
        progress: whether to tell on stderr how it goes, or whom to tell instead.

    Raises:
        RecipeError: the recipe, a key or a value is not known.
        RunError: `out` is a run, or holds runs of another recipe or other data.
    """
    default = default_recipe_name(dataset.preprocessing.height, dataset.preprocessing.width)
    first = Method(resolve_recipe(default if recipe is None else recipe, epochs, settings))
    methods = [first.with_seed(first.recipe.seed + number) for number in range(seeds)]
    places = _places(out, methods, dataset)
    for own, place in zip(methods, places, strict=True):
        training = _train_one(dataset, own, place, progress=progress)
        yield training
        if training.run is not None and training.run.status().state == "interrupted":
            return


def check_folder(out: str | Path) -> None:
    """Refuses a folder for several runs that is a run itself, or no folder.

    Raises:
        RunError: it is.
    """
    path = out_path(out, RunError)
    if path is not None and path.exists() and (not path.is_dir() or (path / "recipe.json").exists()):
        raise RunError(
            f"'{path}' is {'a run itself' if path.is_dir() else 'a file'}",
            expected="a folder for several runs, or a name that is free",
            remedy="name another one with --out, or leave --out away: runs are then numbered",
        )


def _places(out: str | Path | None, methods: list[Method], dataset: Dataset) -> list[Path | None]:
    """Where each run goes; a run that is there already must be of the same recipe and data, before any is trained."""
    if out is None:
        return [None] * len(methods)
    check_folder(out)
    places = [Path(out) / f"seed-{method.recipe.seed}" for method in methods]
    for place, method in zip(places, methods, strict=True):
        if is_run(place):
            require_same(Run.open(place), method.recipe, dataset)
    return [*places]


def _train_one(dataset: Dataset, method: Method, place: Path | None, *, progress: bool | Progress) -> SeedTraining:
    seed = method.recipe.seed
    try:
        was_there = place is not None and is_run(place) and has_ended(Run.open(place))
        return SeedTraining(seed, method.train(dataset, place, progress=progress), was_there=was_there)
    except (TrainingError, RunError) as error:
        return SeedTraining(seed, None, error)
