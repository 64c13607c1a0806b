"""A person's answers in files: CSV and other tables, Label Studio's JSON; and the list of images to be answered."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.label_files.columns import find_columns
from saccade.data.sources.label_files.label_file import open_label_files
from saccade.data.sources.label_files.rows import labeled_rows
from saccade.errors import DataError
from saccade.labeling.labels_file import COLUMNS
from saccade.labeling.new_file import atomic_result
from saccade.labeling.session import Session
from saccade.sanitize import counted

_MAX_BYTES = 1 << 28


@dataclass(frozen=True)
class TakenAnswers:
    """Answers of files for a labeling.

    Attributes:
        labels: label of each image, by its position in the heap.
        notes: messages on answers that change others, and on rows that name no image.
    """

    labels: dict[int, str]
    notes: tuple[str, ...]


def take_answers(session: Session, files: Sequence[str | Path], paths: Sequence[str]) -> TakenAnswers:
    """Read files of answers; those of a new file change the answers that a labeling has.

    A file with the same contents as before changes nothing: an answer may have been corrected on the page since then.

    Args:
        session: state of the labeling.
        files: paths of the files.
        paths: path of each image of the heap.

    Raises:
        DataError: as for `read_answers`.
    """
    labels: dict[int, str] = {}
    notes: list[str] = []
    taken = session.setting("answer_files", [])
    for file in map(Path, files):
        found, num_unknown = read_answers(file, paths)
        labels.update(found)
        if num_unknown:
            notes.append(f"{counted(num_unknown, 'row')} of '{file}' name no image of the data")
        if not found:
            notes.append(f"'{file}' has no answers")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest not in taken:
            with session.transaction():
                changed = session.change(found)
                taken = [*taken, digest]
                session.keep_setting("answer_files", taken)
            if changed:
                notes.append(f"'{file}' changes {counted(changed, 'answer')}")
    return TakenAnswers(labels, tuple(notes))


def read_answers(path: Path, paths: Sequence[str]) -> tuple[dict[int, str], int]:
    """Return the answers in a file by the position of the image in the heap, and the number of rows for other images.

    The file is a label file with columns for image and label, or the export of Label Studio in JSON. An image is named
    by its path in the heap, or by its file name where no other image has this name. Of a label file that a labeling
    wrote, only the labels by a person are answers.

    Args:
        path: path of the file.
        paths: path of each image of the heap.

    Raises:
        DataError: the file can't be read, names none of the images, or gives an image two labels.
    """
    if path.suffix.lower() == ".json":
        pairs = _of_label_studio(path)
    else:
        (file, *_) = open_label_files([path])
        try:
            columns = find_columns(file.table, ReadingOptions())
        except DataError as error:
            raise DataError(
                error.problem,
                expected="a column with the image and one with its label",
                found=error.found,
                remedy="name them file_name and label",
            ) from None
        rows, _ = labeled_rows(file.table, columns, file.class_names)
        others = {row.number for row in file.table.rows if row.values.get("who") not in (None, "person")}
        is_result = set(COLUMNS) <= set(file.table.columns)
        pairs = [(row.image, row.label) for row in rows if not (is_result and row.number in others)]
    place = _places(paths)
    answers: dict[int, str] = {}
    num_unknown = 0
    for name, label in pairs:
        position = place.get(name.removeprefix("./"), place.get(name.replace("\\", "/").rpartition("/")[2], -1))
        if position < 0:
            num_unknown += 1
            continue
        if answers.setdefault(position, label) != label:
            raise DataError(
                f"the answers in '{path}' give an image two labels",
                found=f"{paths[position]}: {answers[position]} and {label}",
                remedy="correct one of the rows",
            )
    if pairs and not answers:
        raise DataError(
            f"the answers in '{path}' are for other images",
            expected=f"paths of images of the data, such as {paths[0]}",
            found=f"such as {pairs[0][0]}",
        )
    return answers, num_unknown


def _places(paths: Sequence[str]) -> dict[str, int]:
    """Return the position of each image by its path, and by its file name where only one image has the name."""
    by_name: dict[str, int] = {}
    for position, path in enumerate(paths):
        name = path.rpartition("/")[2]
        by_name[name] = -1 if name in by_name else position
    return {**by_name, **{path: position for position, path in enumerate(paths)}}


def _of_label_studio(path: Path) -> list[tuple[str, str]]:
    """Return image and label of each task with an annotation, in the JSON export of Label Studio.

    Source: https://labelstud.io/guide/export, "JSON": a task has `data` with the address of the image, and
    `annotations`, each with `result`, whose `value.choices` are the classes.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"'{path}' is too large", expected=f"at most {_MAX_BYTES:,} bytes")
        tasks = json.loads(path.read_text(encoding="utf-8"))
        return [
            (_image_of(task["data"]), str(choice))
            for task in tasks
            for annotation in task.get("annotations", [])[-1:]
            for result in annotation.get("result", [])
            for choice in result.get("value", {}).get("choices", [])[:1]
        ]
    except OSError as error:
        raise DataError(f"'{path}' can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"'{path}' can't be read as answers",
            expected="the JSON export of Label Studio, or a table",
            found=str(error),
            remedy="export the project as JSON (not JSON-MIN), or name a CSV file",
        ) from None


def _image_of(data: Mapping[str, Any]) -> str:
    """Return the name of an image: the last part of its address; Label Studio puts eight digits before an upload."""
    address = next(str(value) for value in data.values() if isinstance(value, str))
    name = address.rpartition("?d=")[2].rpartition("/")[2]
    beginning, dash, rest = name.partition("-")
    is_upload = dash and len(beginning) == 8 and all(letter in "0123456789abcdef" for letter in beginning)
    return rest if is_upload else name


def write_questions(path: Path, images: Sequence[tuple[str, str]]) -> None:
    """Write the list of images to be answered: a CSV file with the columns file_name, label (empty) and reason.

    Args:
        path: path of the new file.
        images: path of each image, and the reason why it is asked.

    Raises:
        DataError: the file can't be written.
    """
    with atomic_result(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file_name", "label", "reason"])
        writer.writerows([name, "", reason] for name, reason in images)
