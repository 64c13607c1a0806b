"""Input images of a prediction: files, folders, globs, images of a dataset, and images in memory."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from saccade.data.dataset import SplitName
from saccade.data.sources.file_discovery import (
    Folder,
    FoundFile,
    note_on_links,
    note_on_own_folders,
    note_on_side_files,
    search_folder,
)
from saccade.data.sources.memory.encode import TAKEN, is_image, largest_of_floats
from saccade.data.sources.memory.encoded_image import EncodedImage, encoded, images_in
from saccade.data.sources.side_files import is_side_file
from saccade.errors import DataError, type_in_words
from saccade.named_paths import is_too_long, path_text

_SOURCES = f"{TAKEN}, a folder, a glob, or DATA:test:0; or several of them"
_URL = re.compile(r"(https?|ftp|s3|gs|file)://", re.IGNORECASE)
_OF_DATASET = re.compile(r"(?P<data>.+):(?P<split>train|validation|test):(?P<index>[0-9]+)")


@dataclass(frozen=True)
class DatasetImage:
    """An image of a dataset.

    Attributes:
        data: name or path of the dataset.
        split: split of the image.
        index: index of the image in the split, from 0.
    """

    data: str
    split: SplitName
    index: int

    def __str__(self) -> str:
        return f"{self.data}:{self.split}:{self.index}"


@dataclass(frozen=True)
class FoundImages:
    """Images found in the sources of a prediction.

    Attributes:
        images: images in the order of the sources; those of a folder or glob in the order of their paths.
        notes: sentences about the files that were left out.
    """

    images: tuple[Path | DatasetImage | EncodedImage, ...]
    notes: tuple[str, ...]


def _image_sources(images: object) -> list[str | EncodedImage]:
    """Return one or several sources as a list of texts and images in memory.

    Raises:
        DataError: a source is neither a path nor an image.
    """
    sources: list[str | EncodedImage] = []
    values = [images] if isinstance(images, os.PathLike) else list(images_in(images))
    largest = largest_of_floats(values)
    for position, source in enumerate(values):
        if is_image(source) or hasattr(source, "shape"):  # an array of a wrong shape has an error of its own
            sources.append(encoded(source, position, largest))
            continue
        which = f"image {position}" if len(values) > 1 else "this"
        if not isinstance(source, str | os.PathLike):
            raise DataError(f"{which} is no image", expected=_SOURCES, found=type_in_words(source))
        if _URL.match(os.fspath(source)):
            raise DataError(
                f"{which} is an address, and nothing is downloaded", expected=_SOURCES, found=str(source),
                remedy="download the image, and give its path or its bytes; `saccade predict --ray` reads s3://",
            )  # fmt: skip
        sources.append(path_text(source, DataError, what="an image", expected=_SOURCES))
    return sources


def find_images(sources: object) -> FoundImages:
    """Find the images of the sources, in the order of the sources; folders are searched at any depth.

    A source is the path of a file or a folder, a glob, or `DATA:SPLIT:INDEX`; or an image in memory: of Pillow, an
    array of pixels, the bytes of a file or an open file. `sources` is one source or several, an array of images, or a
    DataFrame or a data set of Hugging Face with a source in each row.

    An image that two sources contain is in the result twice. Within one folder or glob, each file is in the result
    once, even if several links lead to the file. A folder or glob yields the files that a training uses as images:
    neither hidden files nor side files such as labels.csv. A file that is a source itself is in the result whatever its
    name; if the file does not exist, its prediction reports it as unreadable.

    Raises:
        DataError: a glob or a folder holds no image, a folder can't be read, or a source is neither path nor image.
    """
    found: list[Path | DatasetImage | EncodedImage] = []
    side_files: list[str] = []
    own_folders: list[str] = []
    links: list[str] = []
    for source in _image_sources(sources):
        if isinstance(source, EncodedImage):
            found.append(source)
            continue
        expanded = _expand(source)
        found += expanded.images
        side_files += expanded.side_files
        own_folders += expanded.own_folders
        links += expanded.links
    notes = (*note_on_own_folders(own_folders), *note_on_links(links), *note_on_side_files(side_files))
    return FoundImages(tuple(found), notes)


class _Expanded(NamedTuple):
    """The images of one source, and the paths of side files, Saccade's own folders and links that were left out."""

    images: Sequence[Path | DatasetImage]
    side_files: Sequence[str] = ()
    own_folders: Sequence[str] = ()
    links: Sequence[str] = ()


def _expand(source: str) -> _Expanded:
    path = Path(source)
    matched = _OF_DATASET.fullmatch(source)
    if not is_too_long(source):
        if path.is_dir():
            return _images_among([path], f"there is no image in the folder '{path}'")
        if path.exists():
            return _Expanded([path])
    if matched:
        split: SplitName = matched["split"]  # type: ignore[assignment]
        return _Expanded([DatasetImage(matched["data"], split, int(matched["index"]))])
    if glob.has_magic(source):
        paths = map(Path, glob.glob(source, recursive=True))  # noqa: PTH207 - patterns may be absolute
        return _images_among(paths, f"no image matches '{source}'")
    return _Expanded([path])


def _images_among(paths: Iterable[Path], problem: str) -> _Expanded:
    """Collect the images and side files of files and folders, each once, sorted by path.

    Raises:
        DataError: there is no image; `problem` is its message.
    """
    images: dict[Path, Path] = {}
    side_files: dict[Path, str] = {}
    own_folders: list[str] = []
    links: list[str] = []
    for path in sorted(paths):
        found = search_folder(str(path)) if path.is_dir() else _single_file(path)
        own_folders += [str(path / name) for name in found.all_own_folders()]
        links += [str(path / name) for name in found.all_links()]
        for image in found.all_images():
            images.setdefault((path / image.path).resolve(), path / image.path)
        for side in found.all_side_files():
            side_files.setdefault((path / side.path).resolve(), str(path / side.path))
    if not images:
        notes = note_on_side_files(side_files.values())
        raise DataError(problem, expected="images, at any depth", found=notes[0] if notes else "no file")
    return _Expanded(sorted(images.values()), list(side_files.values()), own_folders, links)


def _single_file(path: Path) -> Folder:
    itself = [FoundFile("", 0, 0)]
    if is_side_file(path.name):
        return Folder("", path.name, side_files=itself)
    return Folder("", path.name, images=itself)
