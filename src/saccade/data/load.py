"""Loading of data by name or by path."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saccade.data.dataset import Dataset, Fix, Preprocessing
from saccade.data.fixes import apply_fixes, read_fixes
from saccade.data.image_size import PreprocessingOptions, wanted_preprocessing
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.archive_members import OTHER_SUFFIXES, SUFFIXES
from saccade.data.sources.archives import is_archive
from saccade.data.sources.cifar10 import cifar10_is_here, load_cifar10
from saccade.data.sources.cifar_batches import find_batch_files, load_batches
from saccade.data.sources.digits import load_digits
from saccade.data.sources.image_dataset import (
    load_archive,
    load_folder,
    load_images,
    load_label_file,
    load_unlabeled,
)
from saccade.data.sources.image_folder import find_images, label_files_of_folder
from saccade.data.sources.known_classes import KnownClasses
from saccade.data.sources.label_files.columns import find_columns, most_similar_column
from saccade.data.sources.label_files.label_file import SUFFIXES as LABEL_SUFFIXES
from saccade.data.sources.label_files.label_file import (
    LabelFile,
    files_at,
    is_label_file,
    list_label_file,
    values_of_column,
)
from saccade.data.sources.labeled_files import Listing
from saccade.data.sources.memory.labeled_images import IN_MEMORY, labeled_images_of
from saccade.data.sources.memory.tables import (
    images_of_hugging_face,
    images_of_table,
    is_data_frame,
    is_hugging_face,
    table_of_frame,
)
from saccade.data.sources.unlabeled_images import list_unlabeled
from saccade.data.splits import with_whole_data
from saccade.errors import DataError, DataNotFoundError, type_in_words
from saccade.image_fit import Fit, Scale
from saccade.named_paths import named_path
from saccade.sanitize import listed_names, printable

if TYPE_CHECKING:
    from saccade.recipes import Recipe

Data = Any
"""What `load` takes as data: a name, a path, or images in memory of several kinds, which are checked when loaded."""

_NAMES = ("cifar10", "digits")
# Codes of the errors of data whose folders are no classes to train on, but may hold images.
_NOT_LABELED = ("no-classes", "empty-folder", "one-class", "class-empty", "class-unreadable", "class-missing")
_JPEG_NOTE = "this is a JPEG copy of CIFAR-10: compare its results only with results on this copy"


def load(
    data: Data,
    *,
    image_size: int | None = None,
    fit: Fit | None = None,
    scale: Scale = "full",
    fixes: str | os.PathLike[str] | None = None,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> Dataset:
    """Load labeled images, decoded to one size; a second call reads the cache.

    Args:
        data: "cifar10" or "digits"; or the path of a folder or an archive that holds `CLASS/image`, or
            `train/CLASS/image` with `test` and `validation` beside it; or the name of such a folder or archive
            (without its suffix) in one of the folders that the environment variable `SACCADE_DATA` lists. Or images in
            memory: `(images, labels)`, where images are an array of shape [n, height, width] or [n, height, width,
            channels], uint8 or floats from 0 to 1 or from 0 to 255, or a sequence of images of Pillow, arrays, bytes,
            open files and paths; pairs of them for train and test, as Keras's data sets are, or a dictionary of pairs
            by split; a pandas DataFrame with columns as in a label file; or a data set of Hugging Face.
        image_size: side of the square images, in pixels. By default the size depends on the median of the shorter
            sides: above 64 pixels 160 or 224, whichever is nearer; else the original size, if it is the same for all
            images and at least 32, or else 32 or 64.
        fit: conversion of images of another aspect ratio: "crop" takes the center, "pad" the whole image with white
            edges, "squash" the whole image with another aspect ratio. By default "pad" above 64 pixels, else "crop".
        scale: range of 16-bit gray images: "full" keeps the high byte of a sample, "auto" the eight highest of the low
            bits that the images of the data use.
        fixes: path of a fixes.csv, as saved by the page of an audit: images to drop and to relabel. The image files
            stay unchanged.
        reading: options for reading, such as labels from the names of files; None: the default options.
        progress: whether to show progress on standard error.

    Raises:
        DataNotFoundError: there is no such data, or the data can't be downloaded.
        ArchiveError: an archive is damaged, or unsafe to unpack.
        DataError: the images or their folders can't be used.
    """
    known_fixes = None if fixes is None else read_fixes(fixes)
    dataset = _load(data, wanted_preprocessing(image_size, fit, scale), reading, progress=progress)
    return dataset if known_fixes is None else apply_fixes(dataset, known_fixes)


def load_for_recipe(
    data: Data | None, recipe: Recipe, *, reading: ReadingOptions | None = None, progress: bool
) -> Dataset:
    """Load labeled images by `image_size`, `fit` and `scale` of a recipe; the default data if `data` is None."""
    if data is None:
        return load_default(image_size=recipe.image_size, fit=recipe.fit, progress=progress)
    return load(
        data, image_size=recipe.image_size, fit=recipe.fit, scale=recipe.scale, reading=reading, progress=progress
    )


def load_with_preprocessing(
    data: Data,
    preprocessing: Preprocessing | PreprocessingOptions,
    *,
    fixes: Sequence[Fix] = (),
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> Dataset:
    """Load labeled images as `load` does, with a given preprocessing, such as the preprocessing of a run.

    Args:
        data: data as for `load`, or a dataset that was loaded with this preprocessing.
        preprocessing: preprocessing of the images, or its options.
        fixes: images to drop and to relabel, such as the fixes of a run.
        reading: options for reading, such as those of a run; None: the default options.
        progress: whether to show progress on standard error.

    Raises:
        DataError: as for `load`, or the fixes are not for this data.
    """
    dataset = _load(data, preprocessing, reading, progress=progress)
    return apply_fixes(dataset, fixes) if fixes else dataset


def load_with_or_without_labels(
    data: Data,
    preprocessing: Preprocessing | PreprocessingOptions,
    *,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> Dataset:
    """Load images with their labels, or all images of a folder or an archive without labels.

    A folder or an archive whose folders are no usable classes becomes one test split of the class `UNLABELED`.

    Args:
        data: data as for `load`.
        preprocessing: preprocessing of the images, or its options.
        reading: options for reading; None: the default options.
        progress: whether to show progress on standard error.

    Raises:
        DataError: as for `load`, or there is no image.
    """
    try:
        return _load(data, preprocessing, reading, progress=progress)
    except DataError as error:
        if not is_path(data):
            raise
        reason = _reason_without_labels(error, reading)
    name = require_name(data)
    path = Path(name).expanduser()
    path = path if path.exists() else _in_data_folders(name) or path
    dataset = load_unlabeled(
        Path(os.path.abspath(path)),  # noqa: PTH100 - keeps links
        preprocessing,
        stream=reading is not None and reading.stream,
        progress=progress,
    )
    return _with_note(dataset, reason)


def list_files(
    data: str | os.PathLike[str], reading: ReadingOptions | None = None, known: KnownClasses | None = None
) -> Listing:
    """List the images of a folder or a label file, and open none of them.

    Args:
        data: path of a folder or a label file, or name of a folder in `SACCADE_DATA`.
        reading: options for reading; None: the default options.
        known: classes of a classifier that is to be scored, as for `load_for_scoring`. None: the images are those of
            `load_with_or_without_labels`, as far as this does not depend on which of them can be read.

    Raises:
        DataError: as for these functions; or the data is neither a folder of images nor a label file.
    """
    name = require_name(data)
    path = Path(name).expanduser()
    found = path if path.exists() else _in_data_folders(name)
    if found is None and name not in _NAMES:
        raise _not_found(name)
    options = reading or ReadingOptions()
    if found is not None:
        found = Path(os.path.abspath(found))  # noqa: PTH100 - keeps links
        _check_options(found, options)
        if found.is_dir() and find_batch_files(found) is None:
            if known is not None:
                return find_images(found, options, known)
            return with_or_without_labels(lambda: find_images(found, options), lambda: list_unlabeled(found), options)
        if found.is_file() and is_label_file(found):
            return list_label_file(found, options, known)
    raise DataError(
        f"the images of '{printable(name)}' are no files of their own",
        expected="a folder of images, or a label file",
        remedy="unpack an archive, and name the folder; or omit --ray",
    )


def with_or_without_labels(
    labeled: Callable[[], Listing], unlabeled: Callable[[], Listing], reading: ReadingOptions
) -> Listing:
    """Return a listing of labeled images; of unlabeled ones, with a note, where the folders are no usable classes.

    Raises:
        DataError: any other error of the first function, or an error of the second one.
    """
    try:
        return labeled()
    except DataError as error:
        reason = _reason_without_labels(error, reading)
    found = unlabeled()
    return replace(found, notes=(reason, *found.notes))


def _reason_without_labels(error: DataError, reading: ReadingOptions | None) -> str:
    """Return the note on folders that are no usable classes; raise any other error, and where options ask for labels.

    Raises:
        DataError: the error.
    """
    if error.code not in _NOT_LABELED or (reading and reading.key()):
        raise error
    return f"read without labels: {error.problem}"


def load_for_scoring(
    data: Data,
    preprocessing: Preprocessing,
    known: KnownClasses,
    *,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> Dataset:
    """Load labeled images on which a classifier is to be scored.

    The classes are those of the classifier, in its order; the data may lack some of them. Data without a test split is
    one test split as a whole.

    Args:
        data: data as for `load`, or a dataset that was loaded with this preprocessing.
        preprocessing: preprocessing of the classifier.
        known: classes of the classifier.
        reading: options for reading; None: the default options.
        progress: whether to show progress on standard error.

    Raises:
        DataError: as for `load`, or the data has a class that the classifier does not know.
    """
    dataset = _load(data, preprocessing, reading, known, progress=progress)
    if isinstance(data, Dataset) and dataset.test_is_made:
        dataset = with_whole_data(dataset, "test")
    if dataset.class_names == known.names:
        return dataset
    # Data of a name, and CIFAR's own files, have their own classes.
    matched = known.match(dataset.class_names)
    new_labels = np.array([known.names.index(matched[name]) for name in dataset.class_names], np.int64)
    splits = {name: replace(split, labels=new_labels[split.labels]) for name, split in dataset.splits.items()}
    return replace(dataset, class_names=known.names, splits=splits)


def column_values(data: str | os.PathLike[str], column: str, reading: ReadingOptions | None = None) -> dict[str, str]:
    """Return the value of a column for each image that a label file names, by the absolute path of the image.

    Args:
        data: path of a label file, or of a folder that holds one.
        column: name of the column.
        reading: options for reading; None: the default options.

    Raises:
        DataError: the data has no label file, or the label file has no such column.
    """
    options = reading or ReadingOptions()
    return values_of_column(_files_with_column(data, column, options), column, options)


def require_column(data: Data, column: str, reading: ReadingOptions | None = None) -> None:
    """Require that a label file of the data has a column, before the images are read.

    Raises:
        DataError: as for `column_values`.
    """
    _files_with_column(data, column, reading or ReadingOptions())


def _files_with_column(data: str | os.PathLike[str], column: str, options: ReadingOptions) -> list[LabelFile]:
    files = _label_files(data, options)
    if not files:
        raise DataError(
            f"'{data}' has no label file with the column {column!r}",
            expected="a label file, or a folder that holds one",
        )
    found = [file for file in files if column in file.table.columns]
    if not found:
        table = files[0].table
        known = most_similar_column(column, table)
        raise DataError(
            f"the label file {table.path} has no column {column!r}",
            expected=f"one of the columns {listed_names(table.columns)}",
            remedy=f"did you mean {known!r}?" if known else "name another column with --by",
            code="label-file",
        )
    return found


def groups_of_images(data: str | os.PathLike[str], reading: ReadingOptions) -> dict[str, str]:
    """Return the group of each image in a label file, by the absolute path of the image; empty without groups."""
    files = _label_files(data, reading)
    columns = [find_columns(file.table, reading, needs_labels=False).group for file in files]
    column = next((column for column in columns if column is not None), None)
    with_groups = [file for file in files if column in file.table.columns]
    return values_of_column(with_groups, column, reading) if column is not None else {}


def _label_files(data: str | os.PathLike[str], options: ReadingOptions) -> list[LabelFile]:
    path = Path(require_name(data)).expanduser()
    if is_label_file(path):
        return files_at(path, options)
    return label_files_of_folder(path, options) if path.is_dir() else []


def load_default(*, image_size: int | None = None, fit: Fit | None = None, progress: bool = False) -> Dataset:
    """Load the default data: CIFAR-10, or the bundled digits where CIFAR-10 is not available.

    CIFAR-10 is read from the cache, from a folder in `SACCADE_DATA` (also from a JPEG copy named `cifar10-jpeg`), or
    from the network. A note names any other data than CIFAR-10.
    """
    preprocessing = wanted_preprocessing(image_size, fit)
    if not cifar10_is_here(_data_folders()) and _in_data_folders("cifar10") is None:
        jpeg_copy = _in_data_folders("cifar10-jpeg")
        if jpeg_copy is not None:
            return _with_note(_load_path(jpeg_copy, preprocessing, None, progress=progress), _JPEG_NOTE)
    try:
        return _load("cifar10", preprocessing, None, progress=progress)
    except DataNotFoundError as error:
        return _with_note(load_digits(preprocessing), f"{error.problem}; these are the bundled digits instead")


def require_name(data: object) -> str:
    """Return the name or path of data as text.

    Raises:
        DataNotFoundError: the name is empty, such as the value of an unset variable, or too long for a path.
        DataError: `data` is not a name or a path.
    """
    if isinstance(data, str | os.PathLike):
        expected = "a name, or the path of a folder or an archive"
        named_path(data, DataNotFoundError, what="the data", expected=expected)
        return os.fspath(data)  # unchanged: "./digits" is a folder, "digits" is a name
    remedy = f"give the source of the dataset: {data.source!r}" if isinstance(data, Dataset) else None
    raise DataError(
        "the data must be given by a name or a path",
        expected='a name such as "digits", or the path of a folder or an archive',
        found=type_in_words(data),
        remedy=remedy,
    )


def _load(
    data: Data,
    preprocessing: Preprocessing | PreprocessingOptions,
    reading: ReadingOptions | None,
    known: KnownClasses | None = None,
    *,
    progress: bool,
) -> Dataset:
    if isinstance(data, Dataset) and isinstance(preprocessing, Preprocessing):
        if preprocessing == data.preprocessing:
            return data
        data = _source_of(data)
    if not is_path(data) and not isinstance(data, Dataset):
        return _load_from_memory(data, preprocessing, reading or ReadingOptions(), known, progress=progress)
    name = require_name(data)
    if name == "digits":
        return load_digits(preprocessing)
    path = Path(name).expanduser()
    if name == "cifar10" or not path.exists():
        found = _in_data_folders(name)
        if found is None and name == "cifar10":
            return load_cifar10(preprocessing, _data_folders(), progress=progress)
        if found is None:
            raise _not_found(name)
        path = found
    return _load_path(path, preprocessing, reading, known, progress=progress)


def is_path(data: object) -> bool:
    """Return whether data is given by its name or path, rather than as images in memory."""
    return isinstance(data, str | os.PathLike)


def _source_of(dataset: Dataset) -> str:
    """Return the path of a dataset that must be loaded once more.

    Raises:
        DataError: the images of the dataset were in memory.
    """
    if dataset.source == IN_MEMORY:
        size = f"{dataset.preprocessing.width}x{dataset.preprocessing.height} pixels, fit={dataset.preprocessing.fit}"
        raise DataError(
            "the dataset was loaded with another preprocessing than that of the run",
            found=size,
            remedy="give the images and labels themselves: data=(images, labels)",
        )
    return dataset.source


def _load_from_memory(
    data: object,
    preprocessing: Preprocessing | PreprocessingOptions,
    options: ReadingOptions,
    known: KnownClasses | None,
    *,
    progress: bool,
) -> Dataset:
    if is_hugging_face(data):
        images = images_of_hugging_face(data, options)
    elif is_data_frame(data):
        images = images_of_table(table_of_frame(data), options)
    else:
        images = labeled_images_of(data)
    return load_images(images, preprocessing, options, known, progress=progress)


def _load_path(
    path: Path,
    preprocessing: Preprocessing | PreprocessingOptions,
    reading: ReadingOptions | None,
    known: KnownClasses | None = None,
    *,
    progress: bool,
) -> Dataset:
    path = Path(os.path.abspath(path))  # noqa: PTH100 - removes ".." but keeps symbolic links
    options = reading or ReadingOptions()
    _check_options(path, options)
    if path.is_dir():
        batches = find_batch_files(path)
        if batches is not None:
            return load_batches(batches, path, batches.signature(), preprocessing, progress=progress)
        return load_folder(path, preprocessing, options, known, progress=progress)
    if is_archive(path):
        return load_archive(path, preprocessing, options, known, progress=progress)
    if is_label_file(path):
        return load_label_file(path, preprocessing, options, known, progress=progress)
    raise DataError(
        f"{path} is neither a folder, an archive of images nor a label file",
        expected=f"a folder, or a file whose name ends in {', '.join((*SUFFIXES, *LABEL_SUFFIXES))}",
        remedy="unpack the archive yourself and give the folder"
        if path.name.lower().endswith(OTHER_SUFFIXES)
        else "save a table of labels as a CSV file, and give its path",
    )


def _check_options(path: Path, options: ReadingOptions) -> None:
    """Require that no option for reading is without effect.

    Raises:
        DataError: an option is for another kind of data, or contradicts another option.
    """
    problem = None
    if options.label_from_name is not None and (is_label_file(path) or options.needs_label_file):
        problem = "labels can come from the names of files or from a label file, not from both"
    elif options.archive_encoding is not None and not is_archive(path):
        problem = "--archive-encoding is for archives"
    if problem:
        raise DataError(problem, found=f"{path} with {' '.join(options.words())}", remedy="omit one of the options")


def _data_folders() -> list[Path]:
    listed = os.environ.get("SACCADE_DATA", "").split(os.pathsep)
    return [Path(folder).expanduser().absolute() for folder in listed if folder]


def _in_data_folders(name: str) -> Path | None:
    if not name or Path(name).name != name:
        return None  # a path, not a name
    candidates = (folder / f"{name}{suffix}" for folder in _data_folders() for suffix in ("", *SUFFIXES))
    return next((path for path in candidates if path.exists()), None)


def _not_found(name: str) -> DataNotFoundError:
    folders = _data_folders()
    spelled = {known.casefold(): known for known in [*_names_in(folders), *_NAMES]}
    near = [spelled[match] for match in difflib.get_close_matches(name.casefold(), spelled, n=3)]
    searched = ", ".join(["the names " + " and ".join(_NAMES), f"the path {Path(name).absolute()}", *map(str, folders)])
    return DataNotFoundError(
        f"there is no data called {name!r}",
        expected="a name, or the path of a folder or an archive",
        found=f"searched {searched}" + ("" if folders else "; SACCADE_DATA is not set"),
        remedy=f"did you mean {' or '.join(near)}?" if near else None,
    )


def _names_in(folders: list[Path]) -> list[str]:
    return [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]


def _with_note(dataset: Dataset, note: str) -> Dataset:
    return replace(dataset, notes=(note, *dataset.notes))
