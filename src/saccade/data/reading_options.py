"""Options for reading data: they say what the files do not, and a run records them to read its data again."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, fields

from saccade.errors import DataError


@dataclass(frozen=True)
class ReadingOptions:
    """Options for reading a folder or an archive of images.

    Attributes:
        drop_empty_classes: whether a class without a readable training image is left out instead of being an error.
        ignore_case: whether class names that differ only in upper and lower case are one class.
        label_from_name: regular expression that is searched in the name of each file; its only group is the class.
            None: the folder of an image is its class.
        archive_encoding: encoding of the names in a zip or tar archive that are not marked as UTF-8, such as "gbk".
            None: UTF-8 if all names are valid UTF-8, else code page 437.
        image_column: column of a label file that names the image; None: a usual name, such as "file_name".
        label_column: column with the label; None: a usual name, such as "label".
        split_column: column with the split; None: a usual name, such as "split".
        group_column: column with a group, such as a patient, whose images stay in one split; None: a usual name, such
            as "group".
        root: folder of the images of a label file; None: the folder of the file.
        allow_outside: whether the images of a label file may lie outside this folder.
        stream: whether images are decoded when they are needed, even where the decoded data would fit into the cache.
            The pixels are the same.
    """

    drop_empty_classes: bool = False
    ignore_case: bool = False
    label_from_name: str | None = None
    archive_encoding: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group_column: str | None = None
    root: str | None = None
    allow_outside: bool = False
    stream: bool = False

    def __post_init__(self) -> None:
        if self.label_from_name is not None:
            _check_pattern(self.label_from_name)
        if self.archive_encoding is not None:
            _check_encoding(self.archive_encoding)

    @property
    def needs_label_file(self) -> bool:
        """Whether an option has an effect on label files only."""
        columns = (self.image_column, self.label_column, self.split_column, self.group_column)
        return any(columns) or self.root is not None or self.allow_outside

    def key(self) -> str:
        """Return a text that differs where options change what is read; empty for the default options."""
        changed = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "stream"}
        changed = {name: value for name, value in changed.items() if value not in (None, False)}
        return json.dumps(changed, sort_keys=True) if changed else ""

    def words(self) -> list[str]:
        """Return the options of the command line, such as ["--drop-empty-classes"]."""
        words: list[str] = []
        for field in fields(self):
            value, option = getattr(self, field.name), f"--{field.name.replace('_', '-')}"
            if value is True:
                words.append(option)
            elif value not in (None, False):
                words += [option, str(value)]
        return words


def _check_pattern(pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise DataError(
            "the regular expression for labels is not valid", expected="a pattern such as '^([a-z]+)[.]'",
            found=f"{pattern!r}: {error}",
        ) from None  # fmt: skip
    if groups != 1:
        raise DataError(
            "the regular expression for labels must have one group, which is the class",
            expected="one pair of parentheses, as in '^([a-z]+)[.]'; (?:…) is no group",
            found=f"{groups} groups in {pattern!r}",
        )


def _check_encoding(name: str) -> None:
    try:
        codec = codecs.lookup(name)
    except LookupError:
        codec = None
    if codec is None or not codec._is_text_encoding:
        raise DataError(
            "the encoding of the names in the archive is unknown", expected="a name such as gbk, cp932 or latin-1",
            found=repr(name),
        )  # fmt: skip
