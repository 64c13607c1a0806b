"""Options of the commands that read data: how a folder, an archive or a label file is to be read."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click

from saccade.data.reading_options import ReadingOptions

NAMES = frozenset(field.name for field in fields(ReadingOptions))
"""Names of the parameters that `with_reading_options` adds to a command."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _absolute(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return the absolute path: a run records it, and may be evaluated in another folder."""
    return None if value is None else os.path.abspath(value)  # noqa: PTH100 - keeps symbolic links


_OPTIONS = (
    click.option(
        "--label-from-name", metavar="REGEX",
        help="Take the class of an image from the name of its file: the group of this regular expression.",
    ),
    click.option(
        "--drop-empty-classes", is_flag=True, help="Leave out classes without a readable training image."
    ),
    click.option("--ignore-case", is_flag=True, help="Treat class names that differ only in case as one class."),
    click.option(
        "--image-column", metavar="NAME", help="Column of a label file with the path, name or id of the image."
    ),
    click.option("--label-column", metavar="NAME", help="Column of a label file with the label."),
    click.option("--split-column", metavar="NAME", help="Column of a label file with the split, such as train."),
    click.option(
        "--group-column", metavar="NAME",
        help="Column of a label file with a group, such as a patient, whose images stay in one split.",
    ),
    click.option(
        "--root", metavar="DIR", callback=_absolute,
        help="Folder of the images of a label file. Default: the folder of the file.",
    ),
    click.option("--allow-outside", is_flag=True, help="Read images outside the folder of a label file, too."),
    click.option(
        "--archive-encoding", metavar="NAME", help="Encoding of the names in an archive, such as gbk or cp932."
    ),
)  # fmt: skip


def with_reading_options(command: _Command) -> _Command:
    """Add the options for reading data to a command, which gets them as the argument `reading`."""

    @functools.wraps(command)
    def with_reading(*args: Any, **options: Any) -> Any:
        reading = ReadingOptions(**{name: options.pop(name) for name in NAMES})
        return command(*args, reading=reading, **options)

    decorated: Any = with_reading
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    result: _Command = decorated
    return result
