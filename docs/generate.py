"""Generated sections of the pages: options of each command, recipes with their measured results.

A section is the text between `<!-- generated: WHAT -->` and `<!-- end of generated -->`. `make docs` runs this program
before it builds the site, and a test fails if a page is not current.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from saccade.cli.main import COMMANDS, cli
from saccade.recipes import ENTRIES, Entry

DOCS = Path(__file__).parent

_BLOCK = re.compile(r"(<!-- generated: ([\w -]+) -->\n).*?(<!-- end of generated -->)", flags=re.DOTALL)


def with_generated_sections(page: str) -> str:
    """Return the text of a page with its generated sections up to date."""
    return _BLOCK.sub(lambda found: found[1] + "\n" + _generated(found[2]) + "\n" + found[3], page)


def _generated(what: str) -> str:
    if what == "commands":
        return _commands()
    if what == "recipes":
        return _recipes()
    command_name = what.removeprefix("options of ")
    return _options(command_name)


def _commands() -> str:
    rows = [f"| [`{command_name}`]({command_name}.md) | {purpose} |" for command_name, purpose in COMMANDS.items()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows, ""])


def _options(command_name: str) -> str:
    """Return usage and options as in click's help."""
    command = cli.get_command(click.Context(cli), command_name)
    if command is None:
        raise ValueError(f"there is no command '{command_name}'")
    context = click.Context(command, info_name=f"saccade {command_name}")
    usage = command.get_usage(context)
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    rows = [f"| `{names.replace('|', '/')}` | {_cell(text)} |" for names, text in records]
    return "\n".join([f"    {usage}", "", "| option | |", "|---|---|", *rows, ""])


def _recipes() -> str:
    return "\n".join([*_table(), *(line for entry in ENTRIES.values() for line in _section(entry))])


def _table() -> list[str]:
    rows = [
        f"| [`{name}`](#{name}) | {entry.recipe.plain_epochs} + {entry.recipe.augmented_epochs} "
        f"| {entry.parameters:,} | {_accuracy(entry)} | {_minutes(entry)} |"
        for name, entry in ENTRIES.items()
    ]
    header = "| recipe | epochs, plain + augmented | weights | accuracy (95% interval) | minutes in all |"
    return [header, "|---|---|---|---|---|", *rows, ""]


def _accuracy(entry: Entry) -> str:
    if entry.measured is None:
        return "see below"
    low, high = entry.measured.interval
    return f"{entry.measured.accuracy:.2%} ({low:.2%} to {high:.2%})"


def _minutes(entry: Entry) -> str:
    return "" if entry.measured is None else f"{entry.measured.minutes:.1f}"


def _section(entry: Entry) -> list[str]:
    name = entry.recipe.name
    return [
        f"## {name}",
        "",
        f"{entry.purpose[0].upper()}{entry.purpose[1:]}.",
        "",
        f"    saccade train DATA {'--from SOURCE' if name == 'transfer' else f'--recipe {name}'}",
        "",
        f"- From: {entry.origin}.",
        f"- Network: {_cell(entry.network)}; {entry.parameters:,} weights for 32x32 images and ten classes.",
        f"- Result: {_measured(entry)}.",
        f"- Changed from the defaults: {_settings(entry)}.",
        "",
    ]


def _measured(entry: Entry) -> str:
    measured = entry.measured
    if measured is None:
        return entry.unmeasured
    seeds = "one seed" if measured.seeds == 1 else f"mean of {measured.seeds} seeds"
    return (
        f"{_accuracy(entry)} of {measured.num_images:,} test images of {measured.data}, {seeds}, after "
        f"{measured.epochs} epochs; {measured.minutes:.1f} minutes, {measured.seconds_per_epoch:.1f} s an epoch, "
        f"{measured.peak_memory_mb:,} MB of memory; {measured.machine}"
    )


def _settings(entry: Entry) -> str:
    fields = type(entry.recipe).model_fields
    changed = [
        f"`{key}={str(value).lower()}`"
        for key, value in entry.recipe.model_dump(exclude={"name", "network"}).items()
        if value != fields[key].default
    ]
    return ", ".join(changed)


def _cell(text: str) -> str:
    """Escape text for a cell of a Markdown table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").replace(" * ", " x ")


def main() -> None:
    """Update all pages."""
    for path in sorted(DOCS.rglob("*.md")):
        page = path.read_text(encoding="utf-8")
        current = with_generated_sections(page)
        if current != page:
            path.write_text(current, encoding="utf-8")


if __name__ == "__main__":
    main()
