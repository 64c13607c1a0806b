"""Listing of the images of work on a cluster: a table with a unique id for each image."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from saccade.cluster.storage import (
    Place,
    exists,
    files_below,
    is_remote,
    open_file_system,
    place_of,
    read_bytes,
    storage_error,
)
from saccade.data.dataset import SplitName
from saccade.data.load import list_files, with_or_without_labels
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.file_discovery import Folder, FoundFile, folder_of, search_folder
from saccade.data.sources.image_folder import images_of_class_folders
from saccade.data.sources.known_classes import KnownClasses
from saccade.data.sources.label_files.columns import find_columns
from saccade.data.sources.label_files.image_paths import ImagePaths
from saccade.data.sources.label_files.label_file import SUFFIXES, LabelFile, files_at
from saccade.data.sources.label_files.rows import LabeledRow, labeled_rows
from saccade.data.sources.labeled_files import FoundImage, LabeledFiles
from saccade.data.sources.labeled_files import Listing as LabeledListing
from saccade.data.sources.labeled_files import list_images as list_labeled
from saccade.data.sources.side_files import is_side_file
from saccade.data.sources.unlabeled_images import UNLABELED, unlabeled_images_of
from saccade.errors import DataError
from saccade.inference.image_inputs import DatasetImage, find_images
from saccade.sanitize import printable

if TYPE_CHECKING:
    import pyarrow

_MAX_LABEL_FILE_BYTES = 1 << 30


class ListedImage(NamedTuple):
    """An image.

    Attributes:
        name: name of the image in the results, as given.
        scheme: scheme of its place, as in `Place`.
        path: path of its place.
        label: true class; "" where the listing has none.
        split: split by the data itself; "" where the data has no test split.
    """

    name: str
    scheme: str
    path: str
    label: str = ""
    split: str = ""


@dataclass(frozen=True)
class Listing:
    """Images, in the order of their ids.

    Attributes:
        images: the images; the id of an image is its index.
        notes: sentences about the files that were left out.
    """

    images: Sequence[ListedImage]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the names, places, labels and splits of all images."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update("\0".join(image).encode(errors="surrogateescape") + b"\n")
        return digest.hexdigest()

    def to_table(self) -> pyarrow.Table:
        """Return a table with the columns id, name, scheme, path (bytes), label and split."""
        import pyarrow

        return pyarrow.table(
            {
                "id": pyarrow.array(range(len(self.images)), pyarrow.int64()),
                "name": pyarrow.array([_text(image.name) for image in self.images], pyarrow.string()),
                "scheme": pyarrow.array([image.scheme for image in self.images], pyarrow.string()),
                # Names of files are bytes, which may be no text.
                "path": pyarrow.array([os.fsencode(image.path) for image in self.images], pyarrow.binary()),
                "label": pyarrow.array([image.label for image in self.images], pyarrow.string()),
                "split": pyarrow.array([image.split for image in self.images], pyarrow.string()),
            }
        )

    def samples(self, count: int) -> list[ListedImage]:
        """Return the first, the last and other images at equal distances, at most `count`."""
        n = len(self.images)
        if n <= count:
            return list(self.images)
        return [self.images[index * (n - 1) // (count - 1)] for index in range(count)]


def _text(name: str) -> str:
    r"""Return a name of a file as text; bytes that are no text become codes such as `\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def list_images(sources: Sequence[str], reading: ReadingOptions | None = None) -> Listing:
    """List the images of the sources, in the order of the sources.

    A source is a file, a folder or a glob as for `saccade.predict`; a label file or a Parquet file with a column of
    images; or the address of an image, a folder or a label file in object storage. The images of a folder are in the
    order of their paths.

    Raises:
        DataError: a source holds no image or can't be read, or is an image of a dataset.
    """
    images: list[ListedImage] = []
    notes: list[str] = []
    for source in sources:
        if source.lower().endswith(SUFFIXES) and (is_remote(source) or Path(source).is_file()):
            images += _of_label_file(source, reading or ReadingOptions())
        elif "://" in source:
            images += _in_object_storage(place_of(source))
        else:
            found = find_images([source])
            images += _of_paths(found.images)
            notes += found.notes
    return Listing(images, tuple(notes))


def list_data(source: str, reading: ReadingOptions | None = None, known: KnownClasses | None = None) -> Listing:
    """List the images of data with their classes and splits, sorted by name.

    A name is the path relative to the data, or the address that a label file names. Folders and label files on a disk
    are read as by `list_files`. In object storage, a folder has class folders or no labels, and a label file names
    images relative to its folder or to the option `root`, or by their addresses.

    Args:
        source: path of a folder or a label file, or the address of one in object storage.
        reading: options for reading; None: the default options.
        known: classes of a classifier that is to be scored on the images; None: classes as the data has them, or none.

    Raises:
        DataError: as for `list_files`, or the storage can't be read.
    """
    options = reading or ReadingOptions()
    is_table = source.lower().endswith(SUFFIXES)
    if "://" in source:
        place = place_of(source)
        found = (_remote_label_file if is_table else _remote_folder)(place, options, known)
        start = f"{place.text.rstrip('/')}/"
    elif known is None and is_table and Path(source).is_file() and not _has_labels(Path(source), options):
        return Listing(sorted(_of_label_file(source, options)))
    else:
        found, start = list_files(source, options, known), ""
    root = f"{start}{found.root}/" if str(found.root) != "." else start
    is_split = found.class_names != UNLABELED.names and any(image.split == "test" for image in found.images)
    images = []
    for image in found.images:
        place = place_of(image.path if is_remote(image.path) else f"{root}{image.path}")
        label = "" if found.class_names == UNLABELED.names else found.class_names[image.label]
        split = image.split if is_split else ""
        images.append(ListedImage(printable(image.path), place.scheme, place.path, label, split))
    return Listing(sorted(images), found.notes)


def _has_labels(path: Path, options: ReadingOptions) -> bool:
    return all(find_columns(file.table, options, needs_labels=False).has_labels for file in files_at(path, options))


def _remote_folder(place: Place, options: ReadingOptions, known: KnownClasses | None) -> LabeledListing:
    """Return the images below an address, with the class folders as labels where they are usable."""
    try:
        infos = files_below(open_file_system(place.scheme), place.path)
    except OSError as error:
        raise storage_error(place, error) from None
    files = [FoundFile(info.path.removeprefix(place.path).strip("/"), info.size, info.mtime_ns or 0) for info in infos]
    top = folder_of(place.text.rstrip("/").rpartition("/")[2], files)

    def labeled() -> LabeledListing:
        return images_of_class_folders(top, place.text, options, known)

    if known is not None:
        return labeled()
    return with_or_without_labels(labeled, lambda: unlabeled_images_of(top, Path(), place.text), options)


def _remote_label_file(place: Place, options: ReadingOptions, known: KnownClasses | None) -> LabeledListing:
    """Return the images that a label file in object storage names, by their addresses."""
    file = _downloaded(place, options)
    columns = find_columns(file.table, options, needs_labels=False)
    rows, notes = labeled_rows(file.table, columns, file.class_names)
    if known is None and not columns.has_labels:
        images = [FoundImage(_address(row, place, options), "test", 0, 1, 0) for row in rows]
        return LabeledListing(Path(), UNLABELED.names, images, "images without labels", tuple(notes), ())
    splits: dict[SplitName, dict[str, list[FoundFile]]] = {"train": {}} if known is None else {}
    for row in rows:
        file_of_row = FoundFile(_address(row, place, options), 1, 0)
        splits.setdefault(row.split or "train", {}).setdefault(row.label, []).append(file_of_row)
    labeled = LabeledFiles(place.text, "", splits, {}, {}, [], f"labels from {place.text}", tuple(notes), base=Path())
    return list_labeled(Path(), labeled, Folder("", ""), options, known)


def _of_paths(found: Iterable[object]) -> Iterator[ListedImage]:
    for image in found:
        if isinstance(image, DatasetImage):
            raise DataError(
                "images of a dataset are not predicted on a cluster", expected="files, folders or a label file",
                found=str(image), remedy="name the files, or omit --ray",
            )  # fmt: skip
        if isinstance(image, Path) and not os.path.lexists(image):
            raise DataError(f"there is nothing at '{printable(str(image))}'", expected="an image, a folder or a glob")
        yield _local(str(image), str(image))


def _local(name: str, path: str, label: str = "") -> ListedImage:
    return ListedImage(name, "", place_of(path).path, label)


def _in_object_storage(place: Place) -> list[ListedImage]:
    """Return the images at an address: the object itself, or the objects below it, apart from side files."""
    system = open_file_system(place.scheme)
    try:
        paths = sorted(info.path for info in files_below(system, place.path))
        if not paths and exists(system, place.path):
            return [ListedImage(place.text, place.scheme, place.path)]
    except OSError as error:
        raise storage_error(place, error) from None
    images = [path for path in paths if not _is_left_out(path.removeprefix(place.path).strip("/"))]
    if not images:
        raise DataError(
            f"there is no image at '{printable(place.text)}'", expected="images, at any depth",
            found="no such bucket or folder, or an empty one" if not paths else "only hidden files and side files",
        )  # fmt: skip
    return [ListedImage(f"{place.scheme}://{path}", place.scheme, path) for path in images]


def _is_left_out(name: str) -> bool:
    return is_side_file(name.rpartition("/")[2]) or any(part.startswith(".") for part in name.split("/"))


def _of_label_file(source: str, options: ReadingOptions) -> Iterator[ListedImage]:
    """Yield the images that a label file names, with labels or without.

    Paths are relative to the folder of the file or to the option `root`; an address of object storage is taken as is.
    """
    if is_remote(source):
        place = place_of(source)
        for row in _rows(_downloaded(place, options), options):
            yield _at(row, _address(row, place, options))
        return
    (file,) = files_at(Path(source), options)
    paths: ImagePaths | None = None
    for row in _rows(file, options):
        if is_remote(row.image):
            yield _at(row, row.image)
            continue
        paths = paths or ImagePaths(file.root, _folder(file), file.table.path, allow_outside=options.allow_outside)
        path = f"{file.root}/{paths.find(row).path}"
        yield _local(path, path, row.label)


def _address(row: LabeledRow, label_file: Place, options: ReadingOptions) -> str:
    """Return the address of an image of a label file in object storage."""
    if is_remote(row.image):
        return row.image
    root = options.root if options.root is not None and is_remote(options.root) else None
    return f"{(root or label_file.text.rpartition('/')[0]).rstrip('/')}/{row.image}"


def _at(row: LabeledRow, address: str) -> ListedImage:
    place = place_of(address)
    return ListedImage(address, place.scheme, place.path, row.label)


def _folder(file: LabelFile) -> Folder:
    return search_folder(str(file.root))


def _downloaded(place: Place, options: ReadingOptions) -> LabelFile:
    """Read a label file of object storage by way of a temporary file."""
    try:
        contents = read_bytes(open_file_system(place.scheme), place.path, _MAX_LABEL_FILE_BYTES)
    except OSError as error:
        raise storage_error(place, error) from None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, place.path.rpartition("/")[2])
        path.write_bytes(contents)
        return files_at(path, options)[0]


def _rows(file: LabelFile, options: ReadingOptions) -> Iterator[LabeledRow]:
    """Yield the rows that name an image; the label is "" where there is none."""
    columns = find_columns(file.table, options, needs_labels=False)
    for row in file.table.rows:
        image = str(row.values.get(columns.image) or "").strip()
        label = row.values.get(columns.label) if columns.label else None
        if isinstance(label, int) and file.class_names is not None and 0 <= label < len(file.class_names):
            label = file.class_names[label]
        if image:
            yield LabeledRow(row.number, image, "" if label is None else str(label).strip(), None, "")
