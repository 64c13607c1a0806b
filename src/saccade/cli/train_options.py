"""What the commands that train are told of data and recipe on the command line."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_line, print_notes, print_unreadable
from saccade.sanitize import counted, plural

if TYPE_CHECKING:
    from saccade.data.dataset import Dataset
    from saccade.recipes import Recipe
    from saccade.training.transfer_learning.pretrained import PretrainedModel


def settings_given(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """The values of `--set KEY=VALUE`."""
    settings = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"'{value}' is not KEY=VALUE")
        settings[key.strip().replace("-", "_")] = text.strip()
    return settings


def checked(settings: dict[str, Any], recipe: str | None, source: str | None = None, **options: Any) -> dict[str, Any]:
    """All settings; a wrong recipe, key or value is refused at once, before anything heavy is loaded."""
    from saccade.recipes import get_recipe

    given = {"batch_size": "batch_size", "seed": "seed", "checkpoint_seconds": "checkpoint_every"}
    settings = settings | {key: options[name] for key, name in given.items() if options[name] is not None}
    get_recipe("transfer" if source else recipe or "quick").with_settings(settings)
    return settings


def source_given(
    source: str | None, weights: str | None, data: str | None, recipe: str | None, **_others: Any
) -> PretrainedModel | None:
    """What `--from` and `--weights` name, if anything; what has no meaning beside them is refused."""
    if source is None:
        if weights is not None:
            raise click.UsageError("--weights belongs to --from NAME.")
        return None
    if data is None:
        raise click.UsageError("--from needs DATA.")
    if recipe not in (None, "transfer"):
        raise click.UsageError("--recipe has no meaning beside --from: its recipe is transfer.")
    from saccade.training.transfer_learning.pretrained import PretrainedModel

    return PretrainedModel.of(source, weights)


def begun(
    source: PretrainedModel | None, settings: dict[str, Any], /, *, epochs: int | None, **options: Any
) -> tuple[Dataset, Recipe]:
    """The data, told of on stderr, and the recipe of a training on it, from what is given on the command line."""
    if source is None:
        dataset = loaded(settings, **options)
        return dataset, resolved(dataset, settings, options["recipe"], epochs)
    from saccade.training.transfer import load_for, transfer_recipe

    recipe = transfer_recipe(source, epochs, settings)
    loaded_data = load_for(source, recipe, options["data"], progress=True)
    dataset = prepared(loaded_data, options["fixes"], options["strict"])
    print_without_effect(recipe, settings)
    return dataset, recipe


def loaded(
    settings: dict[str, Any], data: str | None, recipe: str | None, fixes: str | None, strict: bool, **_others: Any
) -> Dataset:
    """The data, with fixes applied, told of on stderr."""
    from saccade.data.load import load, load_default
    from saccade.recipes import get_recipe

    size = get_recipe(recipe or "quick").with_settings(settings).image_size
    dataset = (
        load_default(image_size=size, progress=True) if data is None else load(data, image_size=size, progress=True)
    )
    return prepared(dataset, fixes, strict)


def prepared(dataset: Dataset, fixes: str | None, strict: bool) -> Dataset:
    """The data with its fixes, told of on stderr."""
    from saccade.data.fixes import apply_fixes, read_fixes

    if fixes is not None:
        dataset = apply_fixes(dataset, read_fixes(fixes))
    announce(dataset)
    if strict:
        dataset.require_all()
    return dataset


def resolved(dataset: Dataset, settings: dict[str, Any], recipe: str | None, epochs: int | None) -> Recipe:
    """The recipe of a training on this data, from what is given on the command line; one not named is told."""
    from saccade.recipes import default_recipe_name, default_recipe_reason
    from saccade.training.train import resolve_recipe

    size = dataset.preprocessing.height, dataset.preprocessing.width
    name = recipe or default_recipe_name(*size)
    if recipe is None:
        print_line(f"recipe: {name}, {default_recipe_reason(*size)}", err=True)
    chosen = resolve_recipe(name, epochs, settings)
    print_without_effect(chosen, settings)
    return chosen


def print_without_effect(recipe: Recipe, settings: Collection[str]) -> None:
    """Tells on stderr of keys that were set and change nothing in this recipe."""
    keys = recipe.keys_without_effect(settings)
    if keys:
        print_notes(
            [f"{', '.join(keys)}: no effect, since this training has no augmented epochs: --set augmented_epochs=N"]
        )


def announce(dataset: Dataset) -> None:
    """Tells on stderr what will be trained on."""
    counts = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    size = f"{dataset.preprocessing.width}x{dataset.preprocessing.height}"
    print_line(f"data: {dataset.name}, {len(dataset.class_names)} classes, {counts}, {size} pixels", err=True)
    if dataset.unreadable:
        n = len(dataset.unreadable)
        print_line(f"data: {counted(n, 'image')} can't be read and {plural(n, 'is', 'are')} left out:", err=True)
        print_unreadable(dataset.unreadable, "see them all: saccade explore", err=True)
    print_notes(dataset.notes)
