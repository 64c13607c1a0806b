"""Label files as a source of labels: which files of a folder they are, and the images of each split and class."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from saccade.data.dataset import SPLIT_NAMES, SplitName
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.file_discovery import Folder, FoundFile, search_folder
from saccade.data.sources.folder_names import class_name_of_folder, split_folder_name
from saccade.data.sources.known_classes import KnownClasses
from saccade.data.sources.label_files.columns import find_columns, has_labels
from saccade.data.sources.label_files.image_paths import ImagePaths, note_on_images_without_row
from saccade.data.sources.label_files.rows import LabeledRow, labeled_rows, listed
from saccade.data.sources.label_files.table import Table, read_delimited, read_json_lines, shown, unusable
from saccade.data.sources.labeled_files import LabeledFiles, Listing, list_images
from saccade.data.sources.side_files import suffix_of
from saccade.errors import DataError
from saccade.sanitize import counted, printable

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""Suffixes of label files."""

USUAL_STEMS = ("metadata", "_classes", "labels", "annotations", "train")
_MAX_LEVELS = 3


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


def label_files_in(folder: Path, top: Folder, options: ReadingOptions) -> list[LabelFile]:
    """Return the label files in a folder, or in the only folder inside; empty if there are none.

    Label files are one file beside the images or their folder, one in the folder of each split, or one for each split.

    Raises:
        DataError: several files may be the label file.
    """
    for level in _levels(top):
        found = _label_files_at(folder, level, options)
        if found:
            return found
    return []


def _label_files_at(folder: Path, level: Folder, options: ReadingOptions) -> list[LabelFile]:
    here = _files_of_one_kind(_tables_in(folder, [level], options))
    if here:
        named = [
            replace(file, split=name.split) for file in here if (name := split_folder_name(_stem(file.table.path)))
        ]
        if len({file.split for file in named}) > 1 and any(file.split == "train" for file in named):
            return _with_note_on_others(named, here)
        return here if _is_parquet(here[0]) else _usual(here)
    inner = {other.name: meaning.split for other in level.folders if (meaning := split_folder_name(other.name))}
    holders = [other for other in level.folders if other.name in inner]
    found = _files_of_one_kind(_tables_in(folder, holders, options)) if holders else []
    by_folder: dict[str, list[LabelFile]] = defaultdict(list)
    for file in found:
        by_folder[file.table.path.parent.name].append(file)
    return [
        replace(file, split=inner[name])
        for name, files in by_folder.items()
        for file in (files if _is_parquet(files[0]) else _usual(files))
    ]


def _files_of_one_kind(files: Sequence[LabelFile]) -> list[LabelFile]:
    """Return the Parquet files, or the other files if there are any."""
    texts = [file for file in files if not _is_parquet(file)]
    return texts or list(files)


def _is_parquet(file: LabelFile) -> bool:
    return suffix_of(file.table.path.name) == "parquet"


def check_label_files(folder: Path, top: Folder, options: ReadingOptions) -> None:
    """Require that files with the suffix of a label file are label files, in data without another source of labels.

    Raises:
        DataError: the only such file, or one with a usual name, is damaged or has no columns for images and labels.
    """
    paths = [path for level in _levels(top) for path in _paths_in(folder, [level])]
    if options.names_columns and not paths:
        raise DataError(
            f"there is no label file in {printable(str(folder))}",
            expected="a label file, since an option names its column",
            remedy=f"give the path of the label file, or leave out {options.words()[0]}",
            code="label-file",
        )
    usual = [path for path in paths if _stem(path).lower() in USUAL_STEMS]
    for path in usual or (paths if len(paths) == 1 or options.names_columns else []):
        for file in open_label_files([path]):
            find_columns(file.table, options)


def _levels(top: Folder) -> list[Folder]:
    """Return the folders where label files may be: the data folder, and folders inside that are the only one."""
    levels = [top]
    while len(levels) < _MAX_LEVELS and not levels[-1].images and len(levels[-1].folders) == 1:
        levels += levels[-1].folders
    return levels


def _paths_in(folder: Path, levels: Sequence[Folder]) -> list[Path]:
    """Return the sorted paths of files in folders with the suffix of a label file."""
    paths = [folder / file.path for level in levels for file in level.side_files]
    return sorted(path for path in paths if is_label_file(path) and "submission" not in path.name.lower())


def _tables_in(folder: Path, levels: Sequence[Folder], options: ReadingOptions) -> list[LabelFile]:
    """Return the label files in folders that have columns for images and labels."""
    root = folder / options.root if options.root else None
    paths = _paths_in(folder, levels)
    parquet = [path for path in paths if suffix_of(path.name) == "parquet"]
    if parquet and any(level.num_images for level in levels):
        parquet = []  # a table beside images would need the other package without need
    opened = [
        file
        for path in paths
        if path not in parquet and suffix_of(path.name) != "parquet"
        for file in _open_if_table(path, root)
    ]
    opened += open_label_files(parquet, root) if parquet else []
    return [file for file in opened if has_labels(file.table, options)]


def _open_if_table(path: Path, root: Path | None) -> list[LabelFile]:
    """Read a file that may be a label file; return nothing for a file that is no table."""
    try:
        return open_label_files([path], root)
    except DataError:
        return []


def _with_note_on_others(used: Sequence[LabelFile], files: Sequence[LabelFile]) -> list[LabelFile]:
    """Return the label files that are used, with a note on the other files that may be label files."""
    paths = {file.table.path for file in used}
    others = [file.table.path.name for file in files if file.table.path not in paths]
    if not others:
        return list(used)
    note = f"left out: {', '.join(sorted(others))}, which may hold labels too: {used[0].table.path.name} is used"
    first = used[0]
    return [replace(first, table=replace(first.table, notes=(*first.table.notes, note))), *used[1:]]


def _usual(files: Sequence[LabelFile]) -> list[LabelFile]:
    """Return the only file, or the file with the most usual name.

    Raises:
        DataError: several files may be the label file.
    """
    stems = {_stem(file.table.path).lower(): file for file in reversed(files)}
    usual = [stems[stem] for stem in USUAL_STEMS if stem in stems]
    if len(files) > 1 and not usual:
        names = sorted(file.table.path.name for file in files)
        raise DataError(
            f"several files in {printable(str(files[0].table.path.parent))} may be the label file",
            expected="one file with columns for images and labels",
            found=printable(", ".join(names)),
            remedy="give the path of the label file",
            code="label-file",
        )
    return _with_note_on_others(usual[:1] or files, files)


def _stem(path: Path) -> str:
    return path.name.rpartition(".")[0].split("-00")[0]  # "train-00000-of-00002.parquet" is a part of "train"


def labels_of_folders(files: Sequence[LabelFile], options: ReadingOptions) -> bool:
    """Return whether no label file gives an image of the class folders another label than its folder."""
    for file in files:
        rows, _ = _rows_of(file, options)
        paths = _paths_of(file, options)
        for row in rows:
            image = paths.find(row)
            if image.size and row.label not in map(class_name_of_folder, image.path.split("/")[:-1]):
                return False
    return True


def read_label_files(
    files: Sequence[LabelFile], options: ReadingOptions, *, needs_training: bool = True
) -> LabeledFiles:
    """Return the files of each split and class that label files name.

    Raises:
        DataError: the files have no labels of images, or images outside their folder.
    """
    root = files[0].root if len({file.root for file in files}) == 1 else _common_folder(files)
    rows_of_image: dict[str, list[tuple[LabeledRow, SplitName, FoundFile]]] = defaultdict(list)
    notes: list[str] = []
    inside: dict[str, None] = {}
    for file in files:
        rows, row_notes = _rows_of(file, options)
        paths = _paths_of(file, options)
        notes += [*file.table.notes, *row_notes]
        prefix = "" if file.root == root else f"{file.root.relative_to(root).as_posix()}/"
        inside.update(dict.fromkeys(prefix + path for path in paths.all_paths))
        for row in rows:
            image = paths.find(row)
            placed = image._replace(path=prefix + image.path)
            rows_of_image[placed.path].append((row, row.split or file.split or "train", placed))
    _require_images(files, rows_of_image)
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
        layout=f"labels from {printable(names)}",
        notes=(
            *notes,
            *note_on_images_without_row(others, names),
            *more_notes,
            *_notes_on_groups(rows_of_image),
        ),
        groups=groups,
        base=root,
    )


def _rows_of(file: LabelFile, options: ReadingOptions) -> tuple[list[LabeledRow], list[str]]:
    return labeled_rows(file.table, find_columns(file.table, options), file.class_names)


def _paths_of(file: LabelFile, options: ReadingOptions) -> ImagePaths:
    try:
        found = search_folder(str(file.root))
    except OSError as error:
        raise DataError(f"the folder {error.filename} can't be read", found=error.strerror) from None
    by_name = split_folder_name(_stem(file.table.path))
    split = file.split or (None if by_name is None else by_name.split)
    return ImagePaths(file.root, found, file.table.path, split, allow_outside=options.allow_outside)


def _common_folder(files: Sequence[LabelFile]) -> Path:
    return Path(os.path.commonpath([file.root for file in files]))


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
    notes = []
    if two_labels:
        notes.append(f"left out: {counted(len(two_labels), 'image')} with two labels: {listed(two_labels, '').strip()}")
    if two_splits:
        number = counted(len(two_splits), "image")
        notes.append(f"{number} in rows of several splits, of which the first counts: {listed(two_splits, '').strip()}")
    if twice:
        notes.append(
            f"{counted(len(twice), 'image')} in several rows, with the same label: {listed(twice, '').strip()}"
        )
    return {split: splits[split] for split in SPLIT_NAMES if split in splits}, notes


def _no_training_split(found: Collection[SplitName]) -> DataError:
    return DataError(
        "there are no images to train with",
        expected="rows of the training split",
        found=f"only rows of {', '.join(found)}" if found else "no row with one label",
        code="no-training-split",
    )


def _require_images(
    files: Sequence[LabelFile], rows_of_image: dict[str, list[tuple[LabeledRow, SplitName, FoundFile]]]
) -> None:
    """Require that at least one image is there; images that are missing are unreadable later, with a reason."""
    if any(file.size for rows in rows_of_image.values() for _, _, file in rows):
        return
    path = files[0].table.path
    if not rows_of_image:
        raise unusable(path, "rows with an image and a label", "none")
    missing = shown(min(rows_of_image))
    raise unusable(
        path,
        f"images in {printable(str(files[0].root))}",
        f"none of the {counted(len(rows_of_image), 'image')}, such as {missing}",
        "name the folder of the images with --root",
    )


def _notes_on_groups(rows_of_image: dict[str, list[tuple[LabeledRow, SplitName, FoundFile]]]) -> list[str]:
    """Return the note on groups that the splits of the data divide."""
    splits: dict[str, set[SplitName]] = defaultdict(set)
    for rows in rows_of_image.values():
        for row, split, _ in rows:
            if row.group:
                splits[row.group].add(split)
    divided = sorted(group for group, found in splits.items() if len(found) > 1)
    if not divided:
        return []
    return [f"{counted(len(divided), 'group')} in more than one split of the data: {listed(divided, '').strip()}"]


def list_label_file(path: Path, options: ReadingOptions, known: KnownClasses | None = None) -> Listing:
    """List the images that a label file names.

    Raises:
        DataError: the file can't be used, as for `find_images`.
    """
    root = path.parent / options.root if options.root else None
    labeled = read_label_files(open_label_files([path], root), options, needs_training=known is None)
    return list_images(path.parent, labeled, Folder("", path.name), options, known)
