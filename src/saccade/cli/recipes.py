"""`saccade recipes`."""

from __future__ import annotations

import textwrap
from typing import Any

import click

from saccade.cli.output import print_json, print_line, print_table, terminal_width
from saccade.recipes import ENTRIES, Entry, Recipe, default_recipes_summary, get_entry
from saccade.sanitize import counted

_MIN_DESCRIPTION_WIDTH = 30


@click.command("recipes")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the recipes as JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the recipes, or show the keys of the recipe NAME."""
    entries = [get_entry(name)] if name else list(ENTRIES.values())
    if as_json:
        shown = [_as_dict(entry) for entry in entries]
        print_json(shown[0] if name else shown)
    elif name:
        _print_one(entries[0])
    else:
        _print_list(entries)


def _as_dict(entry: Entry) -> dict[str, Any]:
    measured = entry.measured
    return {
        "name": entry.recipe.name,
        "purpose": entry.purpose,
        "origin": entry.origin,
        "network": entry.network,
        "parameters": entry.parameters,
        "measured": None if measured is None else vars(measured) | {"interval": list(measured.interval)},
        "settings": entry.recipe.model_dump(exclude={"name"}),
    }


def _print_list(entries: list[Entry]) -> None:
    rows = [
        (
            entry.recipe.name,
            f"{entry.recipe.plain_epochs}+{entry.recipe.augmented_epochs}",
            f"{entry.parameters:,}",
            "" if entry.measured is None else f"{entry.measured.accuracy:.1%}",
            "" if entry.measured is None else f"{entry.measured.minutes:.0f} min",
        )
        for entry in entries
    ]
    print_table(("recipe", "epochs", "weights", "accuracy", "time"), rows)
    print_line(
        "\nepochs: plain + augmented. weights: for 32x32 images and ten classes. accuracy and time: as measured, "
        f"see `saccade recipes NAME`. Without --recipe: {default_recipes_summary()}.\n"
    )
    for entry in entries:
        print_line(f"{entry.recipe.name}: {entry.purpose}")
        print_line(f"  from: {entry.origin}")
        print_line(f"  network: {entry.network}")


def _print_one(entry: Entry) -> None:
    print_line(f"{entry.recipe.name}: {entry.purpose}")
    print_line(f"from: {entry.origin}")
    print_line(f"network: {entry.network}; {entry.parameters:,} weights for 32x32 images and ten classes")
    print_line(f"result: {_measured(entry)}\n")
    settings = entry.recipe.model_dump(exclude={"name"})
    rows = [(key, str(value).lower(), Recipe.model_fields[key].description or "") for key, value in settings.items()]
    width, value_width = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    for key, value, description in rows:
        start = f"{key.ljust(width)}  {value.rjust(value_width)}  "
        line_width = max(terminal_width(), len(start) + _MIN_DESCRIPTION_WIDTH)
        text = textwrap.fill(
            description, line_width, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False
        )
        print_line(text)
    print_line("\nto set a key: saccade train DATA --recipe NAME --set KEY=VALUE")


def _measured(entry: Entry) -> str:
    measured = entry.measured
    if measured is None:
        return entry.unmeasured
    low, high = measured.interval
    return (
        f"{measured.accuracy:.2%} on the test split of {measured.data} (95% interval {low:.2%} to {high:.2%}, "
        f"n = {measured.num_images:,}, {counted(measured.seeds, 'seed')}) after {measured.epochs} "
        f"epochs, {measured.minutes:.1f} minutes, {measured.seconds_per_epoch:.1f} s an epoch, "
        f"{measured.peak_memory_mb:,} MB of memory, {measured.machine}"
    )
