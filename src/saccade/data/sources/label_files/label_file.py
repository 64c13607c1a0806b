"""Label files as a source of labels: which files of a folder they are, and the images of each split and class."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from saccade.data.dataset import SPLIT_NAMES, SplitName
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.file_discovery import Folder, FoundFile, search_folder
from saccade.data.sources.folder_names import split_folder_name
from saccade.data.sources.known_classes import KnownClasses
from saccade.data.sources.label_files.columns import find_columns
from saccade.data.sources.label_files.image_paths import ImagePaths, note_on_images_without_row
from saccade.data.sources.label_files.rows import LabeledRow, labeled_rows, listed
from saccade.data.sources.label_files.table import Table, read_delimited, read_json_lines, shown, unusable
from saccade.data.sources.labeled_files import LabeledFiles, Listing, list_images
from saccade.data.sources.remote_images import is_remote
from saccade.data.sources.side_files import suffix_of
from saccade.errors import DataError
from saccade.sanitize import counted, printable

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""Suffixes of label files."""

USUAL_STEMS = ("metadata", "_classes", "labels", "annotations", "train")
"""Names of label files without suffix, in the order of preference."""

_SEARCHED_ROWS = 50  # for an advice


@dataclass(frozen=True)
class LabelFile:
    """A label file.

    Attributes:
        table: its contents.
        root: folder to which paths in the file are relative.
        split: split of all its images, by the name of the file or of its folder; None where a column or no one says.
        class_names: names of the classes by number; None where the file holds names.
    """

    table: Table
    root: Path
    split: SplitName | None = None
    class_names: tuple[str, ...] | None = None


def is_label_file(path: Path) -> bool:
    """Return whether a file has the suffix of a label file."""
    return path.name.lower().endswith(SUFFIXES)


def open_label_files(paths: Sequence[Path], root: Path | None = None) -> list[LabelFile]:
    """Read label files of one format, which may be the parts of one data set.

    Args:
        paths: paths of the files.
        root: folder to which paths in the files are relative; None for the folder of each file.

    Raises:
        DataError: a file can't be read, or is damaged.
    """
    if suffix_of(paths[0].name) == "parquet":
        from saccade.data.sources.label_files.parquet import read_parquet_files

        found = read_parquet_files(paths)
        return [
            LabelFile(file.table, file.images or root or path.parent, class_names=file.class_names)
            for path, file in zip(paths, found, strict=True)
        ]
    return [LabelFile(_read_text(path), root or path.parent) for path in paths]


def _read_text(path: Path) -> Table:
    is_json = suffix_of(path.name) in ("jsonl", "ndjson")
    return read_json_lines(path) if is_json else read_delimited(path)


def stem_of(path: Path) -> str:
    """Return the name of a file without its suffix and without the number of a part."""
    return path.name.rpartition(".")[0].split("-00")[0]  # "train-00000-of-00002.parquet" is a part of "train"


def labels_of_folders(files: Sequence[LabelFile], options: ReadingOptions, class_of_path: Mapping[str, str]) -> bool:
    """Return whether label files add nothing to class folders: the classes are the same, perhaps by other names.

    Splits and groups add something.

    Args:
        files: label files.
        options: options for reading.
        class_of_path: class of each image in the class folders by its whole path.
    """
    pairs: set[tuple[str, str]] = set()
    columns = [find_columns(file.table, options) for file in files]
    if any(each.split is not None or each.group is not None for each in columns):
        return False
    for file, _, images, _ in named_images(files, options):
        for row, image in images:
            if image.size:
                pairs.add((class_of_path.get(f"{file.root}/{image.path}", ""), row.label))
    folders, labels = {folder for folder, _ in pairs}, {label for _, label in pairs}
    return "" not in folders and len(pairs) == len(folders) == len(labels)


def files_at(path: Path, options: ReadingOptions) -> list[LabelFile]:
    """Read the label file at a path.

    Raises:
        DataError: the file can't be read, or is damaged.
    """
    return open_label_files([path], path.parent / options.root if options.root else None)


def values_of_column(files: Sequence[LabelFile], column: str, options: ReadingOptions) -> dict[str, str]:
    """Return the value of a column for each image, by the absolute path of the image.

    Args:
        files: label files, or tables without labels, which have the column.
        column: name of the column.
        options: options for reading.
    """
    values: dict[str, str] = {}
    for file, _, images, _ in named_images(files, options, needs_labels=False):
        by_line = {row.number: row.values.get(column) for row in file.table.rows}
        for row, image in images:
            value = by_line[row.number]
            values[absolute_path(file.root, image.path)] = "" if value is None else str(value).strip()
    return values


def absolute_path(root: str | Path, path: str) -> str:
    """Return the absolute path of an image, without changes by symbolic links, with unprintable characters as codes."""
    return printable(os.path.abspath(f"{root}/{path}"))  # noqa: PTH100 - keeps symbolic links


def read_label_files(
    files: Sequence[LabelFile], options: ReadingOptions, *, needs_training: bool = True
) -> LabeledFiles:
    """Return the files of each split and class that label files name.

    Raises:
        DataError: the files have no labels of images, or images outside their folder.
    """
    root = _root_of(files)
    rows_of_image: dict[str, list[tuple[LabeledRow, SplitName, FoundFile]]] = defaultdict(list)
    notes: list[str] = []
    inside: dict[str, None] = {}
    last: ImagePaths | None = None
    for file, paths, images, row_notes in named_images(files, options):
        notes += [*file.table.notes, *row_notes]
        prefix = _prefix(file, root)
        unlabeled = _images_without_label(file, paths, options, {row.number for row, _ in images})
        inside.update(dict.fromkeys(prefix + path for path in paths.all_paths if path not in unlabeled))
        last = paths
        for row, image in images:
            placed = image if is_remote(image.path) else image._replace(path=prefix + image.path)
            rows_of_image[placed.path].append((row, row.split or file.split or "train", placed))
    _require_images(files, rows_of_image, options, last)
    splits, more_notes = _by_split(rows_of_image)
    if needs_training and "train" not in splits:
        raise _no_training_split(splits)
    groups = {path: rows[0][0].group for path, rows in rows_of_image.items() if rows[0][0].group}
    names = ", ".join(sorted({file.table.path.name for file in files}))
    folders = {path.rpartition("/")[0] for path in rows_of_image}
    others = [path for path in inside if path not in rows_of_image and path.rpartition("/")[0] in folders]
    return LabeledFiles(
        where=str(files[0].table.path),
        root="",
        splits=splits,
        split_names={},
        folders={},
        side_files=[],
        layout=_layout(files, names, options),
        notes=(
            *notes,
            *note_on_images_without_row(others, names),
            *more_notes,
            *notes_on_groups(((row.group, split) for rows in rows_of_image.values() for row, split, _ in rows)),
            *note_on_images_without_group(len(rows_of_image) - len(groups) if groups else 0),
        ),
        groups=groups,
        base=root,
    )


def _images_without_label(file: LabelFile, paths: ImagePaths, options: ReadingOptions, known: set[int]) -> set[str]:
    """Return the paths of the images that rows without a label name; `known` are the numbers of the other rows."""
    column = find_columns(file.table, options).image
    others = [str(row.values.get(column) or "").strip() for row in file.table.rows if row.number not in known]
    return {path for path in map(paths.named_by, others) if path is not None}


def _layout(files: Sequence[LabelFile], names: str, options: ReadingOptions) -> str:
    """Return the source of labels and groups in words: the file, and the columns where there is a choice."""
    columns = find_columns(files[0].table, options)
    label = f", column {columns.label}" if columns.label not in ("", "label", "class") else ""
    group = "" if columns.group is None else f", groups from the column {columns.group}"
    return printable(f"labels from {names}{label}{group}")


def named_images(
    files: Sequence[LabelFile], options: ReadingOptions, *, needs_labels: bool = True
) -> Iterator[tuple[LabelFile, ImagePaths, list[tuple[LabeledRow, FoundFile]], list[str]]]:
    """Yield each label file with the images of its folder, its rows with their images, and notes about other rows.

    A folder that several files name is searched once.

    Raises:
        DataError: a folder can't be read, or as for `labeled_rows` and `ImagePaths.find`.
    """
    contents: dict[Path, Folder] = {}
    for file in files:
        columns = find_columns(file.table, options, needs_labels=needs_labels)
        rows, notes = labeled_rows(file.table, columns, file.class_names)
        if file.root not in contents:
            contents[file.root] = _folder_of_images(file, options)
        by_name = split_folder_name(stem_of(file.table.path))
        split = file.split or (None if by_name is None else by_name.split)
        found = contents[file.root]
        paths = ImagePaths(file.root, found, file.table.path, split, allow_outside=options.allow_outside)
        yield file, paths, [(row, paths.find(row)) for row in rows], notes


def _folder_of_images(file: LabelFile, options: ReadingOptions) -> Folder:
    """Return the contents of the folder of the images.

    Raises:
        DataError: the folder can't be read.
    """
    try:
        return search_folder(str(file.root))
    except DataError as error:
        remedy = "name the folder of the images with --root" if options.root else None
        raise DataError(error.problem, found=error.found, remedy=remedy, code=error.code) from None


def _root_of(files: Sequence[LabelFile]) -> Path:
    """Return the folder that holds the images of all files."""
    roots = {file.root for file in files}
    return files[0].root if len(roots) == 1 else Path(os.path.commonpath(roots))


def _prefix(file: LabelFile, root: Path) -> str:
    """Return the path of the images of a file relative to the folder of all images, with `/` at its end."""
    return "" if file.root == root else f"{file.root.relative_to(root).as_posix()}/"


def _by_split(
    rows_of_image: dict[str, list[tuple[LabeledRow, SplitName, FoundFile]]],
) -> tuple[dict[SplitName, dict[str, list[FoundFile]]], list[str]]:
    """Return the files of each split and class, sorted by path, and notes about images in several rows."""
    splits: dict[SplitName, dict[str, list[FoundFile]]] = {}
    two_labels, two_splits, twice = [], [], []
    for path in sorted(rows_of_image):
        rows = rows_of_image[path]
        labels = {row.label for row, _, _ in rows}
        if len(labels) > 1:
            lines = ", ".join(f"{row.label} in line {row.number}" for row, _, _ in rows[:3])
            two_labels.append(f"{path} ({lines})")
            continue
        if len({split for _, split, _ in rows}) > 1:
            two_splits.append(path)
        elif len(rows) > 1:
            twice.append(path)
        row, split, file = rows[0]
        splits.setdefault(split, {}).setdefault(row.label, []).append(file)
    notes = notes_on_repeated_images(two_labels, two_splits, twice)
    return {split: splits[split] for split in SPLIT_NAMES if split in splits}, notes


def notes_on_repeated_images(two_labels: Sequence[str], two_splits: Sequence[str], twice: Sequence[str]) -> list[str]:
    """Return the notes on images in several rows: with two labels, in two splits, or with equal rows."""
    notes = []
    if two_labels:
        notes.append(f"left out: {counted(len(two_labels), 'image')} with two labels: {listed(two_labels)}")
    if two_splits:
        number = counted(len(two_splits), "image")
        notes.append(f"{number} in rows of several splits, of which the first counts: {listed(two_splits)}")
    if twice:
        notes.append(f"{counted(len(twice), 'image')} in several rows, with the same label: {listed(twice)}")
    return notes


def _no_training_split(found: Collection[SplitName]) -> DataError:
    return DataError(
        "there are no images to train with",
        expected="rows of the training split",
        found=f"only rows of {', '.join(found)}" if found else "no row with one label",
        code="no-training-split",
    )


def _require_images(
    files: Sequence[LabelFile],
    rows_of_image: dict[str, list[tuple[LabeledRow, SplitName, FoundFile]]],
    options: ReadingOptions,
    paths: ImagePaths | None,
) -> None:
    """Require that at least one image is there; images that are missing are unreadable later, with a reason."""
    if any(file.size for rows in rows_of_image.values() for _, _, file in rows):
        return
    path = files[0].table.path
    if not rows_of_image:
        raise unusable(path, "rows with an image and a label", "none")
    missing, column = shown(min(rows_of_image)), find_columns(files[0].table, options).image
    if all(map(is_remote, rows_of_image)):
        raise unusable(
            path,
            "addresses of images",
            f"none of the {counted(len(rows_of_image), 'image')} in the column {shown(column)}, such as {missing}",
            "check the bucket, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL in the environment",
        )
    raise unusable(
        path,
        f"images in {printable(str(files[0].root))}",
        f"none of the {counted(len(rows_of_image), 'image')} in the column {shown(column)}, such as {missing}",
        _advice_on_missing(files[-1], column, paths),
    )


def _advice_on_missing(file: LabelFile, column: str, paths: ImagePaths | None) -> str:
    """Return what to do where a column names no image.

    Another column or another folder may have them, or leading zeros are missing.
    """
    elsewhere = "name the folder of the images with --root"
    if paths is None:
        return elsewhere
    rows = file.table.rows[:_SEARCHED_ROWS]
    if all(os.path.isfile(file.root.parent / str(row.values.get(column)).strip()) for row in rows):  # noqa: PTH113  # any name
        return f"the column names images from the folder above: --root {printable(str(file.root.parent))}"
    for other in file.table.columns:
        values = [str(row.values.get(other) or "").strip() for row in rows]
        if other != column and sum(paths.named_by(value) is not None for value in values) > len(rows) / 2:
            return f"the column {shown(other)} names images: --image-column {other}"
    numbers = {path.rpartition("/")[2].partition(".")[0].lstrip("0") or "0" for path in paths.all_paths}
    if sum(str(row.values.get(column)).strip().partition(".")[0] in numbers for row in rows) > len(rows) / 2:
        return "the names of the files begin with zeros, which the column lacks: write the whole names into the column"
    return elsewhere


def note_on_images_without_group(count: int) -> list[str]:
    """Return the note on images without a group; nothing for no images."""
    return [f"without a group, so that they may be in any split: {counted(count, 'image')}"] if count else []


def notes_on_groups(pairs: Iterable[tuple[str, SplitName]]) -> list[str]:
    """Return the note on groups that the splits of the data divide; nothing if there are none.

    Args:
        pairs: group, "" for none, and split of each image.
    """
    splits: dict[str, set[SplitName]] = defaultdict(set)
    for group, split in pairs:
        if group:
            splits[group].add(split)
    divided = sorted(group for group, found in splits.items() if len(found) > 1)
    if not divided:
        return []
    return [f"{counted(len(divided), 'group')} in more than one split of the data: {listed(divided)}"]


def list_label_file(path: Path, options: ReadingOptions, known: KnownClasses | None = None) -> Listing:
    """List the images that a label file names.

    Raises:
        DataError: the file can't be used, as for `find_images`.
    """
    labeled = read_label_files(files_at(path, options), options, needs_training=known is None)
    return list_images(path.parent, labeled, Folder("", path.name), options, known)
