"""train_seeds: the same training several times, with one seed after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset
from saccade.errors import RunError, SaccadeError, TrainingError
from saccade.recipes import Recipe, default_recipe_name
from saccade.runs.run import Run
from saccade.training.progress import Progress
from saccade.training.resume import resume
from saccade.training.train import resolve_recipe, train


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
        recipe: a named recipe or a value of your own. None: the default for pictures of this size.
        out: the folder of the runs `seed-0`, `seed-1` and so on. None: each in the first free
            `runs/<data>-<recipe>-<n>`.
        epochs: as for `train`.
        settings: recipe keys to change; "seed" is the first.
        progress: whether to tell on stderr how it goes, or whom to tell instead.

    Raises:
        RecipeError: the recipe, a key or a value is not known.
        RunError: `out` is a run, or holds runs of another recipe or other data.
    """
    name = recipe or default_recipe_name(dataset.rule.height, dataset.rule.width)
    first = resolve_recipe(name, epochs, settings)
    recipes = [first.with_settings({"seed": first.seed + number}) for number in range(seeds)]
    places = _places(out, recipes, dataset)
    for own, place in zip(recipes, places, strict=True):
        training = _train_one(dataset, own, place, progress=progress)
        yield training
        if training.run is not None and training.run.status().state == "interrupted":
            return


def check_folder(out: str | Path) -> None:
    """Refuses a folder for several runs that is a run itself, or no folder.

    Raises:
        RunError: it is.
    """
    path = Path(out)
    if path.exists() and (not path.is_dir() or (path / "recipe.json").exists()):
        raise RunError(
            f"'{path}' is {'a run itself' if path.is_dir() else 'a file'}",
            expected="a folder for several runs, or a name that is free",
            remedy="name another one with --out, or leave --out away: runs are then numbered",
        )


def _places(out: str | Path | None, recipes: list[Recipe], dataset: Dataset) -> list[Path | None]:
    """Where each run goes; a run that is there already must be of the same recipe and data, before any is trained."""
    if out is None:
        return [None] * len(recipes)
    check_folder(out)
    places = [Path(out) / f"seed-{recipe.seed}" for recipe in recipes]
    for place, recipe in zip(places, recipes, strict=True):
        if _is_run(place):
            _require_same(Run.open(place), recipe, dataset)
    return [*places]


def _is_run(place: Path) -> bool:
    return (place / "recipe.json").is_file()


def _require_same(run: Run, recipe: Recipe, dataset: Dataset) -> None:
    before, now = run.recipe.model_dump(), recipe.model_dump()
    found = [f"{key} = {before[key]}, not {now[key]}" for key in now if before[key] != now[key]]
    if run.data_fingerprint != dataset.fingerprint:
        found.append(f"'{run.data_name}' with other pictures than '{dataset.name}' has now")
    if found:
        raise RunError(
            f"the run '{run.path}' is of another training",
            expected="runs of the same recipe on the same data, which these seeds would go on with",
            found="; ".join(found),
            remedy="name another folder with --out",
        )


def _train_one(dataset: Dataset, recipe: Recipe, place: Path | None, *, progress: bool | Progress) -> SeedTraining:
    try:
        if place is not None and _is_run(place):
            run = Run.open(place)
            if run.status().state in ("finished", "stopped early"):
                return SeedTraining(recipe.seed, run, was_there=True)
            return SeedTraining(recipe.seed, resume(run, dataset, progress=progress))
        return SeedTraining(recipe.seed, train(dataset, recipe=recipe, out=place, progress=progress))
    except (TrainingError, RunError) as error:
        return SeedTraining(recipe.seed, None, error)
