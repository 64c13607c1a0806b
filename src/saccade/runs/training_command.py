"""The command that trains again as a run was trained, on the same data; `report` and `compare` print it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from saccade.recipes import ENTRIES, Recipe, default_recipe_name, get_recipe
from saccade.recipes.search_space import text_of
from saccade.runs.run import Run
from saccade.sanitize import command_line

SOURCE = "SOURCE"
"""Stands in a command for what `--from` names, where a run does not keep it."""

# An extension's own, and what is of the machine rather than of the recipe.
_NEVER_NAMED = {"extends", "extended_rate", "extended_schedule", "checkpoint_seconds"}
# A transfer takes these from its source.
_OF_THE_SOURCE = {"network", "transfer", "initial_scale", "final_scale", "tta_views"}


def data_words(run: Run) -> list[str]:
    """The words of a command that name the run's data, and its fixes where it has any."""
    return [run.data_source, *(["--fixes", str(run.path / "fixes.csv")] if run.fixes() else [])]


def training_command(run: Run, changes: Mapping[str, Any], *options: object) -> str:
    """The `saccade train` command for a training like the run's, with some recipe keys changed.

    It names the recipe only where another one is the default for images of this size, and only the keys that differ
    from that recipe's.

    Args:
        run: whose data, recipe and source are named.
        changes: recipe key -> value, in place of the run's own.
        options: further words, such as `"--out", "runs/b"`.
    """
    wanted = run.recipe.with_settings(changes)
    base, method, left_out = _base(run)
    return command_line("train", *data_words(run), *method, *settings_words(wanted, base, left_out), *options)


def settings_words(wanted: Recipe, base: Recipe, left_out: Set[str] = frozenset()) -> list[str]:
    """The words `--set KEY=VALUE` that make one recipe of another; the keys `left_out` are never set."""
    keys = [key for key in Recipe.model_fields if key not in {"name", *left_out}]
    return [
        word
        for key in keys
        if getattr(wanted, key) != getattr(base, key)
        for word in ("--set", f"{key}={text_of(getattr(wanted, key))}")
    ]


def source_note(run: Run) -> str:
    """What the placeholder in a command of this run stands for, as a sentence; "" where there is no placeholder."""
    source = run.source()
    if source is None or source.name == run.recipe.network:
        return ""
    return f"{SOURCE} stands for '{source.name}', from which this run's network comes; where it lies is not kept."


def _base(run: Run) -> tuple[Recipe, list[str], set[str]]:
    """The named recipe that the command begins with, the words that choose it, and the keys that it never sets."""
    if run.recipe.transfer:
        source = run.source()
        known = source is not None and source.name == run.recipe.network
        return (
            get_recipe("transfer"),
            ["--from", run.recipe.network if known else SOURCE],
            _NEVER_NAMED | _OF_THE_SOURCE,
        )
    default = default_recipe_name(run.preprocessing.height, run.preprocessing.width)
    if run.recipe.name == default or run.recipe.name not in ENTRIES:
        return get_recipe(default), [], _NEVER_NAMED
    return get_recipe(run.recipe.name), ["--recipe", run.recipe.name], _NEVER_NAMED
