"""Options of the commands that read data: how a folder, an archive or a label file is to be read."""

from __future__ import annotations

import os
from dataclasses import fields

import click

from saccade.cli.option_groups import option_group
from saccade.data.reading_options import ReadingOptions

NAMES = frozenset(field.name for field in fields(ReadingOptions))
"""Names of the parameters that `with_reading_options` adds to a command."""


def _absolute(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return the absolute path: a run records it, and may be evaluated in another folder. An address stays."""
    return value if value is None or "://" in value else os.path.abspath(value)  # noqa: PTH100 - keeps symbolic links


_IMAGE_COLUMN = click.option(
    "--image-column", metavar="NAME", help="Column of a label file with the path, name or id of the image."
)
_LABEL_COLUMN = click.option("--label-column", metavar="NAME", help="Column of a label file with the label.")
_ROOT = click.option(
    "--root", metavar="DIR", callback=_absolute,
    help="Folder of the images of a label file. Default: the folder of the file.",
)  # fmt: skip
_ALLOW_OUTSIDE = click.option(
    "--allow-outside", is_flag=True, help="Read images outside the folder of a label file, too."
)

_OPTIONS = (
    click.option(
        "--label-from-name", metavar="REGEX",
        help="Take the class of an image from the name of its file: the group of this regular expression.",
    ),
    click.option(
        "--drop-empty-classes", is_flag=True, help="Leave out classes without a readable training image."
    ),
    click.option("--ignore-case", is_flag=True, help="Treat class names that differ only in case as one class."),
    _IMAGE_COLUMN,
    _LABEL_COLUMN,
    click.option("--split-column", metavar="NAME", help="Column of a label file with the split, such as train."),
    click.option(
        "--group-column", metavar="NAME",
        help="Column of a label file with a group, such as a patient, whose images stay in one split.",
    ),
    _ROOT,
    _ALLOW_OUTSIDE,
    click.option(
        "--archive-encoding", metavar="NAME", help="Encoding of the names in an archive, such as gbk or cp932."
    ),
    click.option(
        "--stream", is_flag=True,
        help="Decode images when they are needed, as where the decoded data would not fit into the cache.",
    ),
)  # fmt: skip


with_reading_options = option_group("reading", _OPTIONS, ReadingOptions)
"""Add the options for reading data to a command, which gets them as the argument `reading`."""


def _of_listing(
    image_column: str | None, label_column: str | None, root: str | None, allow_outside: bool
) -> ReadingOptions:
    return ReadingOptions(image_column=image_column, label_column=label_column, root=root, allow_outside=allow_outside)


with_listing_options = option_group("reading", (_IMAGE_COLUMN, _LABEL_COLUMN, _ROOT, _ALLOW_OUTSIDE), _of_listing)
"""Add the options for a label file that lists images to a command, which gets them as the argument `reading`."""
