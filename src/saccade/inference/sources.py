"""Which pictures a prediction is asked for: files, folders, globs, and pictures of a dataset."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from saccade.data.dataset import SplitName
from saccade.errors import DataError

_OF_DATASET = re.compile(r"(?P<data>.+):(?P<split>train|validation|test):(?P<index>[0-9]+)")


@dataclass(frozen=True)
class DatasetPicture:
    """One of a dataset's own pictures.

    Attributes:
        data: a name or a path.
        split: where it stands.
        index: its place there, counted from 0.
    """

    data: str
    split: SplitName
    index: int

    def __str__(self) -> str:
        return f"{self.data}:{self.split}:{self.index}"


def find_pictures(sources: Iterable[str | Path]) -> list[Path | DatasetPicture]:
    """Everything that the sources name, each once, in their order; a folder's files by name, at any depth.

    A file that does not exist is among them, so that it is reported like any other picture that can't be read.

    Raises:
        DataError: a glob or a folder holds no file at all.
    """
    found: dict[Path | DatasetPicture, None] = {}
    seen: set[Path] = set()
    for source in sources:
        for item in _expand(str(source)):
            if isinstance(item, DatasetPicture):
                found.setdefault(item)
            elif (real := item.resolve()) not in seen:
                seen.add(real)
                found.setdefault(item)
    return list(found)


def _expand(source: str) -> Iterator[Path | DatasetPicture]:
    if not source:  # as of a variable that is not set; as a path it would be the current folder
        raise DataError("a picture has no name", expected="a file, a folder, a glob or DATA:test:0", found="''")
    path = Path(source)
    matched = _OF_DATASET.fullmatch(source)
    if path.is_dir():
        yield from _files_in(path)
    elif path.exists():
        yield path
    elif matched:
        split: SplitName = matched["split"]  # type: ignore[assignment]
        yield DatasetPicture(matched["data"], split, int(matched["index"]))
    elif glob.has_magic(source):
        yield from _matching(source)
    else:
        yield path


def _files_in(folder: Path) -> list[Path]:
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise DataError(f"there is no file in the folder '{folder}'", expected="pictures, at any depth")
    return files


def _matching(pattern: str) -> list[Path]:
    paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207 - patterns may be absolute
    files = [file for path in paths for file in (_files_in(path) if path.is_dir() else [path])]
    if not files:
        raise DataError(f"no file matches '{pattern}'")
    return files
