"""Output of the commands: JSON for programs, lines and tables for people."""

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

_MAX_UNREADABLE = 10
_GAP = 2  # spaces between two columns of a table
_MIN_WIDTH = 16  # characters of a shortened column; every number is shorter


def print_line(text: str = "", *, err: bool = False) -> None:
    """Print lines on stdout, or on stderr if `err`. Control characters in names of files and classes are escaped."""
    if err:
        log_message(text)
    else:
        click.echo(printable(text, lines=True))


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(printable_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))


def print_notes(notes: Iterable[str]) -> None:
    """Print each note as a line on stderr."""
    for note in notes:
        print_line(f"note: {note}", err=True)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns under a header, the first column aligned left and the others right.

    If the table is wider than the terminal (100 columns without a terminal), the cells of the widest columns are
    shortened in their middle until the table fits.
    """
    table = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = _fitted([max(len(row[column]) for row in table) for column in range(len(header))])
    for row in ([shortened(cell, width) for cell, width in zip(row, widths, strict=True)] for row in table):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print_line("  ".join(cells).rstrip())


def terminal_width() -> int:
    """Return the width of the terminal, or the value of `COLUMNS`; 100 without a terminal."""
    return shutil.get_terminal_size((100, 24)).columns


def _fitted(widths: list[int]) -> list[int]:
    """Return the widths of the columns, the widest ones reduced until the table fits the terminal."""
    available = terminal_width() - _GAP * (len(widths) - 1)
    while sum(widths) > available and max(widths) > _MIN_WIDTH:
        widest = widths.index(max(widths))
        widths = [width - (column == widest) for column, width in enumerate(widths)]
    return widths


def print_unreadable(unreadable: Sequence[UnreadableImage], rest: str, *, err: bool = False) -> None:
    """Print the first ten unreadable images with their reasons, and `rest` if there are more."""
    for image in unreadable[:_MAX_UNREADABLE]:
        print_line(f"  {image.path}: {image.reason}", err=err)
    if len(unreadable) > _MAX_UNREADABLE:
        print_line(f"  and {len(unreadable) - _MAX_UNREADABLE:,} more; {rest}", err=err)
