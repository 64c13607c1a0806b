"""Search of a folder for label files: beside the images, in the folder of each split, or one for each split.

Beside class folders, tables without labels may add splits and groups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.file_discovery import Folder
from saccade.data.sources.folder_names import split_folder_name
from saccade.data.sources.label_files.columns import (
    find_columns,
    has_column_of_images,
    has_images_without_labels,
    has_labels,
)
from saccade.data.sources.label_files.label_file import (
    USUAL_STEMS,
    LabelFile,
    is_label_file,
    open_label_files,
    stem_of,
)
from saccade.data.sources.side_files import suffix_of
from saccade.errors import DataError
from saccade.sanitize import listed_names, printable

_MAX_LEVELS = 3
_OTHER_TABLES = ("json", "txt", "xlsx", "xls", "ods", "xml")
_NO_LABELS = ("readme", "license", "requirements", "notes")


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


def tables_without_labels_in(folder: Path, top: Folder, options: ReadingOptions) -> list[LabelFile]:
    """Return the tables in a folder that name images and have no labels."""
    for level in _levels(top):
        splits = [other for other in level.folders if split_folder_name(other.name)]
        found = [
            file
            for file in _tables_in(folder, [level, *splits], options)
            if has_images_without_labels(file.table, options)
        ]
        if found:
            return found
    return []


def notes_on_unused_tables(folder: Path, top: Folder, options: ReadingOptions) -> list[str]:
    """Return a note for each table beside class folders that has no column for images with a usual name."""
    tables = [file.table for level in _levels(top) for file in _tables_in(folder, [level], options)]
    return [
        f"left out: {table.path.name}, a table without a known column for images; "
        f"its columns are {listed_names(table.columns)}; if one names images, add "
        "--image-column, and --group-column or --label-column for the column that is to be used"
        for table in tables
        if not has_column_of_images(table, options)
    ]


def _label_files_at(folder: Path, level: Folder, options: ReadingOptions) -> list[LabelFile]:
    here = _files_of_one_kind(_label_files_of(folder, [level], options))
    if here:
        named = [
            replace(file, split=name.split) for file in here if (name := split_folder_name(stem_of(file.table.path)))
        ]
        if len({file.split for file in named}) > 1 and any(file.split == "train" for file in named):
            return _with_note_on_others(named, here)
        return here if _is_parquet(here[0]) else _usual(here)
    inner = {other.name: meaning.split for other in level.folders if (meaning := split_folder_name(other.name))}
    holders = [other for other in level.folders if other.name in inner]
    found = _files_of_one_kind(_label_files_of(folder, holders, options)) if holders else []
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
    if options.needs_label_file and not paths:
        raise DataError(
            f"there is no label file in {printable(str(folder))}",
            expected="a label file, since an option names its column",
            remedy=f"give the path of the label file, or leave out {options.words()[0]}",
            code="label-file",
        )
    usual = [path for path in paths if stem_of(path).lower() in USUAL_STEMS]
    for path in usual or (paths if len(paths) == 1 or options.needs_label_file else []):
        for file in open_label_files([path]):
            find_columns(file.table, options)


def advice_on_other_files(folder: Path, top: Folder) -> str | None:
    """Return what to do with a file beside images that may hold their labels and is not read by itself."""
    files = [file.path for level in _levels(top) for file in level.side_files]
    for path in files:
        if suffix_of(path) == "parquet":
            return f"if {printable(path)} holds the labels, give its path: {printable(str(folder / path))}"
    for path in files:
        if suffix_of(path) in _OTHER_TABLES and not any(word in path.lower() for word in _NO_LABELS):
            return f"if {printable(path)} holds the labels, save them as a CSV file, and give its path"
    return None


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


def _label_files_of(folder: Path, levels: Sequence[Folder], options: ReadingOptions) -> list[LabelFile]:
    """Return the label files in folders that have columns for images and labels."""
    return [file for file in _tables_in(folder, levels, options) if has_labels(file.table, options)]


def _tables_in(folder: Path, levels: Sequence[Folder], options: ReadingOptions) -> list[LabelFile]:
    """Return the files in folders that are tables."""
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
    return opened + (open_label_files(parquet, root) if parquet else [])


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
    stems = {stem_of(file.table.path).lower(): file for file in reversed(files)}
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
