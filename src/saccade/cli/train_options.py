"""Data, recipe and pretrained weights of the commands that train, from their options."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_line, print_notes, print_unreadable
from saccade.sanitize import counted, plural

_LEFT_OUT = "left out: "
_MAX_CLASSES = 10

if TYPE_CHECKING:
    from saccade.data.dataset import Dataset
    from saccade.data.reading_options import ReadingOptions
    from saccade.recipes import Recipe
    from saccade.training.transfer_learning.pretrained import PretrainedModel


def parse_settings(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Parse the values of `--set KEY=VALUE` into keys and values."""
    settings = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"'{value}' is not KEY=VALUE")
        settings[key.strip().replace("-", "_")] = text.strip()
    return settings


def checked_settings(
    settings: dict[str, Any], recipe: str | None, source: str | None = None, **options: Any
) -> dict[str, Any]:
    """Return all settings. A wrong recipe, key or value is an error before any slow import."""
    from saccade.recipes import get_recipe

    option_of_key = {"batch_size": "batch_size", "seed": "seed", "checkpoint_seconds": "checkpoint_every"}
    settings = settings | {key: options[name] for key, name in option_of_key.items() if options[name] is not None}
    get_recipe("transfer" if source else recipe or "quick").with_settings(settings)
    return settings


def pretrained_model(
    source: str | None, weights: str | None, data: str | None, recipe: str | None, **_others: Any
) -> PretrainedModel | None:
    """Return the pretrained model of `--from` and `--weights`, and reject options that contradict them."""
    if source is None:
        if weights is not None:
            raise click.UsageError("--weights requires --from NAME.")
        return None
    if data is None:
        raise click.UsageError("--from requires DATA.")
    if recipe not in (None, "transfer"):
        raise click.UsageError("--recipe cannot be combined with --from, whose recipe is transfer.")
    from saccade.training.transfer_learning.pretrained import PretrainedModel

    return PretrainedModel.of(source, weights)


def load_dataset_and_recipe(
    source: PretrainedModel | None, settings: dict[str, Any], /, *, epochs: int | None, **options: Any
) -> tuple[Dataset, Recipe]:
    """Load the data, print its summary on stderr, and return the data and the recipe of the options."""
    if source is None:
        dataset = load_dataset(settings, **options)
        return dataset, choose_recipe(dataset, settings, options["recipe"], epochs)
    from saccade.training.transfer import load_for, transfer_recipe

    recipe = transfer_recipe(source, epochs, settings)
    loaded_data = load_for(source, recipe, options["data"], reading=options["reading"], progress=True)
    dataset = apply_fixes_and_summarize(loaded_data, options["fixes"], options["strict"])
    print_ineffective_keys(recipe, settings)
    return dataset, recipe


def load_dataset(
    settings: dict[str, Any],
    data: str | None,
    recipe: str | None,
    fixes: str | None,
    strict: bool,
    reading: ReadingOptions,
    **_others: Any,
) -> Dataset:
    """Load the data, apply the fixes and print a summary on stderr."""
    from saccade.data.load import load_for_recipe
    from saccade.recipes import get_recipe

    loading = get_recipe(recipe or "quick").with_settings(settings)
    return apply_fixes_and_summarize(load_for_recipe(data, loading, reading=reading, progress=True), fixes, strict)


def apply_fixes_and_summarize(dataset: Dataset, fixes: str | None, strict: bool) -> Dataset:
    """Apply the fixes and print a summary of the data on stderr."""
    from saccade.data.fixes import apply_fixes, read_fixes

    if fixes is not None:
        dataset = apply_fixes(dataset, read_fixes(fixes))
    print_dataset(dataset)
    if strict:
        dataset.require_all()
    return dataset


def choose_recipe(dataset: Dataset, settings: dict[str, Any], recipe: str | None, epochs: int | None) -> Recipe:
    """Return the recipe of the options. A default recipe is printed on stderr with the reason."""
    from saccade.data.default_recipe import default_recipe_of
    from saccade.recipes import default_recipe_reason, get_recipe
    from saccade.training.train import resolve_recipe

    default = default_recipe_of(dataset)
    if recipe is None:
        print_line(f"recipe: {default.name}, {default_recipe_reason(default)}", err=True)
    chosen = resolve_recipe(get_recipe(recipe) if recipe else default, epochs, settings)
    print_ineffective_keys(chosen, settings)
    return chosen


def print_ineffective_keys(recipe: Recipe, settings: Collection[str]) -> None:
    """Print on stderr the keys that were set and have no effect in the recipe."""
    keys = recipe.keys_without_effect(settings)
    if recipe.head_only:
        reason = "only fits a linear head to the features of a frozen network"
    elif recipe.keeps_outputs and recipe.augmented_epochs:
        reason = "trains on kept outputs of augmented images, which crop_scale, for one, augments"
    else:
        reason = "has no augmented epochs: --set augmented_epochs=N"
    if keys:
        print_notes([f"{', '.join(keys)}: no effect, since this training {reason}"])


def print_dataset(dataset: Dataset) -> None:
    """Print on stderr how the data was read, and the name, the size and the unreadable images of a dataset."""
    counts = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    print_line(f"read as: {_read_as(dataset)}", err=True)
    size = f"{dataset.preprocessing.width}x{dataset.preprocessing.height}"
    fit = "" if dataset.preprocessing.fit == "crop" else f", fit={dataset.preprocessing.fit}"
    print_line(f"data: {dataset.name}, {len(dataset.class_names)} classes, {counts}, {size} pixels{fit}", err=True)
    if dataset.unreadable:
        n = len(dataset.unreadable)
        print_line(f"data: {counted(n, 'image')} can't be read and {plural(n, 'is', 'are')} left out:", err=True)
        print_unreadable(dataset.unreadable, "saccade explore --json lists all of them", err=True)
    from saccade.data.crop_loss import crop_notes
    from saccade.data.small_classes import small_class_notes

    notes = [note for note in dataset.notes if not note.startswith(_LEFT_OUT)]
    print_notes([*notes, *crop_notes(dataset), *small_class_notes(dataset)])


def _read_as(dataset: Dataset) -> str:
    """Return the layout, the classes, the splits and what was left out, in words."""
    names = dataset.class_names
    listed = ", ".join(names[:_MAX_CLASSES]) + (
        f" and {len(names) - _MAX_CLASSES} more" if names[_MAX_CLASSES:] else ""
    )
    splits = [f"{name} {len(images):,}" for name, images in dataset.splits.items()]
    if dataset.test_is_made:
        splits[-1] += ", chosen by Saccade"
    parts = [dataset.layout or dataset.name, f"classes {listed}", ", ".join(splits)]
    left_out = [note.removeprefix(_LEFT_OUT) for note in dataset.notes if note.startswith(_LEFT_OUT)]
    return "; ".join([*parts, *([f"left out {'; '.join(left_out)}"] if left_out else [])])
