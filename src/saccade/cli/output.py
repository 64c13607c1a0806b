"""How the commands print: JSON for programs, plain lines for people."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from saccade.progress import log_message
from saccade.sanitize import printable, printable_json, shortened

if TYPE_CHECKING:
    from saccade.data.dataset import UnreadableImage

_MOST_UNREADABLE = 10
_GAP = 2  # spaces between the columns of a table
_NARROWEST = 16  # characters to which a column is reduced at most; a number is shorter


def print_line(text: str = "", *, err: bool = False) -> None:
    """Prints lines, on stderr if `err`. Names of files and classes come through here: no terminal obeys one."""
    if err:
        log_message(text)
    else:
        click.echo(printable(text, lines=True))


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(printable_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))


def print_notes(notes: Iterable[str]) -> None:
    """What must be said of the data, on stderr, a line each."""
    for note in notes:
        print_line(f"note: {note}", err=True)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns under a header, each as wide as its widest cell; the first aligned left, the others right.

    Where the table is wider than the terminal, or than 100 columns where there is none, the cells of its widest columns
    are shortened in their middle, so that the table fits.
    """
    table = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = _fitted([max(len(row[column]) for row in table) for column in range(len(header))])
    for row in ([shortened(cell, width) for cell, width in zip(row, widths, strict=True)] for row in table):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print_line("  ".join(cells).rstrip())


def terminal_width() -> int:
    """The columns of the terminal, or of `COLUMNS`; 100 where the output goes to no terminal."""
    return shutil.get_terminal_size((100, 24)).columns


def _fitted(widths: list[int]) -> list[int]:
    """The widths of columns, the widest of them reduced until all columns fit the terminal."""
    room = terminal_width() - _GAP * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widest = widths.index(max(widths))
        widths = [width - (column == widest) for column, width in enumerate(widths)]
    return widths


def print_unreadable(unreadable: Sequence[UnreadableImage], rest: str, *, err: bool = False) -> None:
    """The first ten unreadable images with their reasons, and where the rest can be read; on stderr if `err`."""
    for image in unreadable[:_MOST_UNREADABLE]:
        print_line(f"  {image.path}: {image.reason}", err=err)
    if len(unreadable) > _MOST_UNREADABLE:
        print_line(f"  and {len(unreadable) - _MOST_UNREADABLE:,} more; {rest}", err=err)
