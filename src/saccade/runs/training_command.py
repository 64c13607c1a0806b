"""The command that repeats the training of a run on the same data; `report` and `compare` print the command."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.data.sources.memory.labeled_images import IN_MEMORY
from saccade.errors import RunError
from saccade.models.pretrained.imagenet import NETWORK
from saccade.recipes import ENTRIES, Recipe, default_recipe, get_recipe
from saccade.recipes.search_space import text_of
from saccade.runs.run import Run
from saccade.sanitize import command_line

SOURCE = "SOURCE"
"""Placeholder in a command for the argument of `--from`, where the run does not keep the argument."""

# Keys of extensions, and a key of the machine rather than of the recipe.
_NEVER_NAMED = {"extends", "extended_rate", "extended_schedule", "checkpoint_seconds"}
# Keys that a transfer takes from its source.
_OF_THE_SOURCE = {"network", "transfer", "initial_scale", "final_scale", "tta_views"}
# Keys by which an image becomes the input of a network.
_OF_THE_PIXELS = ("image_size", "fit", "scale")


@dataclass(frozen=True)
class PlannedTraining:
    """A training by the plain command.

    Attributes:
        name: name in messages.
        words: words of its command line after `saccade`, with absolute paths.
        place: run directory.
        epochs: number of epochs.
    """

    name: str
    words: tuple[str, ...]
    place: Path
    epochs: int


def data_words(run: Run) -> list[str]:
    """Return the words of a command that name the data of a run, how it is read, and its fixes where it has any."""
    fixes = ["--fixes", str(run.path / "fixes.csv")] if run.fixes() else []
    return [run.data_source, *run.data.reading.words(), *fixes]


def training_command(run: Run, changes: Mapping[str, Any], *options: object) -> str:
    """Return the `saccade train` command that repeats the training of a run, with some recipe keys changed.

    The command names the recipe only where another recipe is the default for images of this size, and only keys that
    differ from the recipe.

    Args:
        run: run that gives data, recipe and source.
        changes: recipe key -> new value.
        options: further words, such as `"--out", "runs/b"`.
    """
    wanted = run.recipe.with_settings(changes)
    base, method, left_out = _base(run)
    return command_line("train", *data_words(run), *method, *settings_words(wanted, base, left_out), *options)


def command_within(run: Run, minutes: float) -> str | None:
    """Return the `saccade train` command that trains on the data of a run within a time budget.

    Args:
        run: the run.
        minutes: the budget.

    Returns:
        None where the command line can't name the data, or the pretrained weights.
    """
    source = run.source()
    if run.data_source == IN_MEMORY or (source is not None and source.name != NETWORK):
        return None
    return command_line("train", *data_words(run), "--minutes", minutes)


def fine_tuning_command(run: Run) -> str:
    """Return the `saccade train` command that fine-tunes the network of a run, a linear head, on the data of the run.

    Where the run has the pretrained weights of a named recipe that fine-tunes them, the command names this recipe, or
    no recipe if it is the default. Otherwise the training starts from the run.
    """
    fine_tuning = [
        entry.recipe
        for name, entry in ENTRIES.items()
        if name != "transfer"
        and entry.recipe.network == run.recipe.network
        and entry.recipe.transfer
        and not entry.recipe.head_only
    ]
    source = run.source()
    of_a_recipe = run.recipe.name in ENTRIES and run.recipe.name != "transfer"
    if not fine_tuning or (source.name != run.recipe.network if source is not None else not of_a_recipe):
        return command_line("train", *data_words(run), "--from", run.path)
    default = default_recipe(run.preprocessing.height, run.preprocessing.width)
    recipe = default if default in fine_tuning else fine_tuning[0]
    pixels = recipe.with_settings({key: getattr(run.recipe, key) for key in _OF_THE_PIXELS if getattr(run.recipe, key)})
    method = [] if recipe == default else ["--recipe", recipe.name]
    return command_line("train", *data_words(run), *method, *settings_words(pixels, recipe))


def require_unfinished(run: Run) -> None:
    """Require that the training of a run can be resumed.

    Raises:
        RunError: the training has ended.
    """
    state = run.status().state
    if state in ("finished", "stopped early"):
        extension = command_line("train", "--extend", run.path, "--epochs", "+5")
        further = fine_tuning_command(run) if run.recipe.has_frozen_network else extension
        raise RunError(
            f"the training of '{run.path}' is {'finished' if state == 'finished' else 'stopped already'}",
            remedy=f"to train it further: {further}",
        )


def settings_words(wanted: Recipe, base: Recipe, left_out: Set[str] = frozenset()) -> list[str]:
    """Return the words `--set KEY=VALUE` that change `base` into `wanted`; the keys `left_out` are never set."""
    keys = [key for key in Recipe.model_fields if key not in {"name", *left_out}]
    return [
        word
        for key in keys
        if getattr(wanted, key) != getattr(base, key)
        for word in ("--set", f"{key}={text_of(getattr(wanted, key))}")
    ]


def source_note(run: Run) -> str:
    """Return a sentence on the placeholder in the command of a run; "" where the command has no placeholder."""
    source = run.source()
    if source is None or source.name == run.recipe.network:
        return ""
    return f"{SOURCE} stands for '{source.name}', from which this run's network comes; where it lies is not kept."


def _base(run: Run) -> tuple[Recipe, list[str], set[str]]:
    """Return the named recipe of the command, the words that choose the recipe, and the keys that are never set."""
    if run.recipe.transfer and run.recipe.name not in ENTRIES.keys() - {"transfer"}:
        source = run.source()
        known = source is not None and source.name == run.recipe.network
        return (
            get_recipe("transfer"),
            ["--from", run.recipe.network if known else SOURCE],
            _NEVER_NAMED | _OF_THE_SOURCE,
        )
    images = sum(number for split, number in run.data.num_images.items() if split != "test")
    default = default_recipe(run.preprocessing.height, run.preprocessing.width, images)
    name = run.recipe.name
    if name not in ENTRIES:  # a recipe of the user: the named recipe of its network is nearest
        of_network = (entry.recipe.name for entry in ENTRIES.values() if entry.recipe.network == run.recipe.network)
        name = default.name if default.network == run.recipe.network else next(of_network, default.name)
    if name == default.name:
        return default, [], _NEVER_NAMED
    return get_recipe(name), ["--recipe", name], _NEVER_NAMED
