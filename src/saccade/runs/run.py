"""Run: a training's directory, as a value. This package alone reads and writes run directories.

A run directory holds

    recipe.json           every choice of the training
    data.json             what it was trained on: name, source, fingerprint, class names, preprocessing, counts
    environment.json      versions and machine
    split.csv             the part, training, validation or test, of each image
    unreadable.csv        the images that could not be read, with the reasons
    fixes.csv             what was dropped and relabeled of the data, if anything
    parent.json           the run that this one extends, if it does
    plan.json             how it was fitted into its time budget, if it had one, and every change of that
    source.json           where its network learned first, if it was transferred
    status.json           running, finished, stopped early or interrupted; the epoch whose weights were kept
    history.csv           a row per epoch, without clock times
    timings.csv           seconds and images per second of each epoch
    history.png           loss and accuracy per epoch
    checkpoints/          what an unfinished training goes on from, and a finished one can be extended from
    weights.safetensors   the kept weights, by `layer/variable`
    calibration.json      the temperature that its logits are divided by
    folds.json            out-of-fold accuracy, if it was cross-validated
    predictions-validation.safetensors   what it says of each validation image, at that temperature; where it was
                          cross-validated, what the networks of the folds say of each training image
    ood.safetensors   what its training images look like to its first layers
    model.keras           weights and temperature as a stock Keras model that ends in probabilities, for use elsewhere
    model.onnx            the same for ONNX Runtime, from which `predict` answers at once; may be missing
    validation.npz        up to 1,000 validation images with labels, for later checks

and later what `evaluate` and `export` add.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.atomic_io import TEMPORARY, atomic_write, write_arrays, write_json, write_rows
from saccade.data.dataset import SPLIT_NAMES, Fix, Preprocessing, Split, SplitName, UnreadableImage
from saccade.data.fixes import fixes_text, read_fixes
from saccade.errors import RunError
from saccade.machine import memory_bytes
from saccade.named_paths import named_path
from saccade.recipes import Recipe
from saccade.runs.checkpoints import Checkpoints
from saccade.runs.cv_record import FoldsRecord
from saccade.runs.predictions import Predictions
from saccade.runs.records import (
    Calibration,
    DataRecord,
    Environment,
    EpochRecord,
    EpochTiming,
    EvaluationRecord,
    ModelRecord,
    Parent,
    SourceRecord,
    SplitRow,
    Status,
    WeightsNote,
)
from saccade.runs.results import is_result
from saccade.runs.safe_loading import read_contents, read_images, read_record, read_rows, read_weights
from saccade.runs.time_budget_state import Plan
from saccade.sanitize import command_line, printable

_WEIGHTS = "weights.safetensors"
WEIGHTS_NOTE = "saccade"
"""The name of the note in `weights.safetensors` that says of what network they are."""

_VALIDATION = "validation.npz"
_OOD_FILE = "ood.safetensors"
LIGHT_MODEL = "model.onnx"
"""What a few images are classified with, because it opens in a tenth of a second."""

CARD = "README.md"
"""The model card that `report` writes."""

CARD_MARK = "<!-- written by `saccade report`; without this line it is left alone -->"
"""The line by which a model card is known as one that `report` wrote."""

_FIXES = "fixes.csv"
_PLAN = "plan.json"
_FOLDS = "folds.json"
_LARGEST_CARD = 1_000_000
_SPLIT = "split.csv"
_LARGEST_SPLIT = 10**9


@dataclass(frozen=True)
class Run:
    """A training's directory.

    Attributes:
        path: the directory.
        recipe: every choice of the training.
        data: what it was trained on.
    """

    path: Path
    recipe: Recipe
    data: DataRecord

    def __repr__(self) -> str:
        return f"<Run {self.path}: recipe {self.recipe.name} on {self.data_name}, {len(self.class_names):,} classes>"

    @classmethod
    def open(cls, path: Run | str | Path) -> Run:
        """Opens a run directory.

        Raises:
            RunError: it is not a run directory or one of another version, or a record in it is damaged.
        """
        if isinstance(path, Run):
            return path
        directory = require_path(path)
        if not (directory / "recipe.json").is_file() or not (directory / "data.json").is_file():
            raise RunError(
                f"'{directory}' is not a run",
                expected="a directory made by `saccade train`, with recipe.json and data.json in it",
                found=_what_is_there(directory),
            )
        data = read_record(directory / "data.json", DataRecord)  # first, because it has the schema version
        return cls(path=directory, recipe=read_record(directory / "recipe.json", Recipe), data=data)

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.resolve().name

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the network's outputs."""
        return self.data.class_names

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become the network's input."""
        return self.data.preprocessing

    @property
    def data_name(self) -> str:
        """Short name of the data."""
        return self.data.name

    @property
    def data_source(self) -> str:
        """A name or an absolute path that finds the data again."""
        return self.data.source

    @property
    def data_fingerprint(self) -> str:
        """Fingerprint of the data's contents."""
        return self.data.fingerprint

    @property
    def checkpoints(self) -> Checkpoints:
        """The training's checkpoints."""
        records = b"".join((self.path / name).read_bytes() for name in ("recipe.json", "data.json"))
        return Checkpoints(self.path / "checkpoints", hashlib.sha256(records).hexdigest())

    def status(self) -> Status:
        """How far the training came."""
        return read_record(self.path / "status.json", Status)

    def environment(self) -> Environment:
        """Where it was trained."""
        return read_record(self.path / "environment.json", Environment)

    def folds(self) -> FoldsRecord | None:
        """What its cross-validation came to, if it was cross-validated."""
        path = self.path / _FOLDS
        return read_record(path, FoldsRecord) if path.exists() else None

    def parent(self) -> Parent | None:
        """The run that this one extends, if it does."""
        path = self.path / "parent.json"
        return read_record(path, Parent) if path.exists() else None

    def plan(self) -> Plan | None:
        """How it was fitted into its time budget; None for a training without one."""
        path = self.path / _PLAN
        return read_record(path, Plan) if path.exists() else None

    def source(self) -> SourceRecord | None:
        """Where its network learned first, if it was transferred."""
        path = self.path / "source.json"
        return read_record(path, SourceRecord) if path.exists() else None

    def model_record(self) -> ModelRecord:
        """What goes with its model wherever that goes."""
        environment = self.environment()
        return ModelRecord(
            name=printable(self.name),
            class_names=self.class_names,
            preprocessing=self.preprocessing,
            temperature=self.temperature,
            tta_views=self.recipe.tta_views,
            data=self.data_name,
            data_fingerprint=self.data_fingerprint,
            weights=self.weights_fingerprint(),
            versions={"saccade": environment.saccade, "python": environment.python, **environment.packages},
        )

    def light_model(self) -> bytes | None:
        """The contents of its `model.onnx`, if there is one.

        Raises:
            RunError: it can't be read, or is too large.
        """
        path = self.path / LIGHT_MODEL
        return read_contents(path, memory_bytes() // 4) if path.exists() else None

    def card(self) -> str | None:
        """The text of its model card, if there is one.

        Raises:
            RunError: it can't be read, or is too large.
        """
        path = self.path / CARD
        return read_contents(path, _LARGEST_CARD).decode(errors="replace") if path.exists() else None

    def calibration(self) -> Calibration | None:
        """What its logits are divided by; None without images to fit it on, or before it is trained to its end."""
        path = self.path / "calibration.json"
        return read_record(path, Calibration) if path.exists() else None

    @property
    def temperature(self) -> float:
        """What its logits are divided by: 1 where it is not calibrated."""
        calibration = self.calibration()
        return 1.0 if calibration is None else calibration.temperature

    def fixes(self) -> tuple[Fix, ...]:
        """What was dropped and relabeled of the data that it was trained on.

        Raises:
            DataError: the run's fixes.csv is damaged.
        """
        path = self.path / _FIXES
        return read_fixes(path) if path.exists() else ()

    def split_of(self) -> dict[str, SplitName]:
        """Content hash -> the part in which the training had the image: what `splits_of` takes as `previous_split`.

        Of identical files in several parts, which only the data itself can put there, those trained on count.

        Raises:
            RunError: the run's split.csv is missing or damaged.
        """
        rows = read_rows(self.path / _SPLIT, SplitRow, _LARGEST_SPLIT)
        return {row.hash: row.split for split in reversed(SPLIT_NAMES) for row in rows if row.split == split}

    def clean(self) -> None:
        """Removes what a training that was killed left half-written. Only for whoever holds the run's lock."""
        for left in self.path.glob(f"{TEMPORARY}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        self.checkpoints.clean()

    def has_foreign_card(self) -> bool:
        """Whether its README.md is not one that `report` wrote, and is therefore left alone."""
        path = self.path / CARD
        return path.exists() and CARD_MARK not in path.read_text(encoding="utf-8", errors="replace")

    def remove_results(self) -> bool:
        """Removes what was measured of its weights, before other weights take their place.

        Only files that `evaluate` and `report` write directly into the run are removed: exported models, folders and
        files of the user stay.

        Returns:
            Whether there was anything to remove.
        """
        results = [path for path in self.path.iterdir() if path.is_file() and is_result(path.name)]
        if (self.path / CARD).is_file() and not self.has_foreign_card():
            results.append(self.path / CARD)
        for path in results:
            path.unlink()
        return bool(results)

    def history(self) -> list[EpochRecord]:
        """A record per epoch, in order."""
        path = self.path / "history.csv"
        if not path.is_file():
            return []
        return read_rows(path, EpochRecord)

    def timings(self) -> list[EpochTiming]:
        """How long each epoch took, in order."""
        path = self.path / "timings.csv"
        return read_rows(path, EpochTiming) if path.is_file() else []

    def evaluation(self, name: str = "report.json") -> EvaluationRecord | None:
        """What of an evaluation others build upon, if there is one and it is of the present weights."""
        path = self.path / name
        record = read_record(path, EvaluationRecord) if path.is_file() else None
        return record if record and record.weights == self.weights_fingerprint() else None

    def weights_fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the kept weights and their temperature."""
        contents = read_contents(self._weights_file(), memory_bytes() // 2)
        return hashlib.sha256(contents + repr(self.temperature).encode()).hexdigest()

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The kept weights, by `layer/variable`.

        Raises:
            RunError: there are none yet, or the file is damaged.
        """
        # A network that large could not be built either.
        return read_weights(self._weights_file(), memory_bytes() // 2)

    @property
    def has_validation_images(self) -> bool:
        """Whether the kept validation images have been written."""
        return (self.path / _VALIDATION).is_file()

    def validation_images(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The kept validation images, uint8 [n, height, width, 3], and their labels, int64 [n]; n may be 0."""
        path = self.path / _VALIDATION
        if not path.is_file():
            return np.empty((0, self.preprocessing.height, self.preprocessing.width, 3), np.uint8), np.empty(
                0, np.int64
            )
        return read_images(path, self.preprocessing.height, self.preprocessing.width)

    def ood_statistics(self) -> dict[str, NDArray[np.float32]] | None:
        """What `saccade.models.ood.OodScore` is made of; None where it was not learned."""
        path = self.path / _OOD_FILE
        return read_weights(path, memory_bytes() // 8) if path.exists() else None

    def predictions(self, name: str) -> Predictions:
        """What an evaluation kept as the run's file `name`.

        Raises:
            RunError: there is none, or it is damaged.
        """
        return Predictions.read(self.path / name, len(self.class_names), memory_bytes() // 4)

    def place(self, name: str) -> AbstractContextManager[Path]:
        """Gives a temporary path that becomes the run's file `name` when the block ends well; an older one goes."""
        return atomic_write(self.path / name)

    def write_json(self, name: str, value: Any) -> None:
        """Writes a value as the run's file `name`."""
        write_json(self.path / name, value)

    def write_ood_statistics(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Writes what is familiar to its network."""
        write_arrays(self.path / _OOD_FILE, arrays)

    def write_predictions(self, name: str, predictions: Predictions) -> None:
        """Writes what was said of each image as the run's file `name`."""
        write_arrays(self.path / name, vars(predictions))

    def write_status(self, status: Status) -> None:
        """Writes how far the training came."""
        write_json(self.path / "status.json", status.model_dump())

    def write_plan(self, plan: Plan) -> None:
        """Writes how the training is fitted into its time budget."""
        write_json(self.path / _PLAN, plan.model_dump())

    def write_folds(self, folds: FoldsRecord) -> None:
        """Writes what its cross-validation came to."""
        write_json(self.path / _FOLDS, folds.model_dump())

    def write_calibration(self, calibration: Calibration) -> None:
        """Writes what its logits are to be divided by."""
        write_json(self.path / "calibration.json", calibration.model_dump())

    def write_history(self, records: Sequence[EpochRecord], timings: Sequence[tuple[float, int]]) -> None:
        """Writes the history, and beside it the clock times.

        Args:
            records: one per epoch.
            timings: of each epoch its seconds, validation included, and the training images seen in it.
        """
        write_rows(
            self.path / "history.csv", list(EpochRecord.model_fields), [record.model_dump() for record in records]
        )
        rows = [
            {"epoch": record.epoch, "seconds": round(seconds, 3), "images_per_second": round(images / seconds, 1)}
            for record, (seconds, images) in zip(records, timings, strict=True)
        ]
        write_rows(self.path / "timings.csv", ["epoch", "seconds", "images_per_second"], rows)

    def write_unreadable(self, unreadable: Sequence[UnreadableImage]) -> None:
        """Writes which images of the data could not be read, and why."""
        rows = [{"split": image.split, "path": image.path, "reason": image.reason} for image in unreadable]
        write_rows(self.path / "unreadable.csv", ["split", "path", "reason"], rows)

    def write_split(self, splits: Mapping[SplitName, Split]) -> None:
        """Writes which image is in which part."""
        rows = [
            {"split": name, "path": path, "class": self.class_names[label], "hash": content}
            for name, split in splits.items()
            for path, label, content in zip(split.names, split.labels, split.hashes, strict=True)
        ]
        write_rows(self.path / _SPLIT, ["split", "path", "class", "hash"], rows)

    def write_fixes(self, fixes: Sequence[Fix]) -> None:
        """Writes what was dropped and relabeled of the data."""
        with self.place(_FIXES) as path:
            path.write_text(fixes_text(fixes), encoding="utf-8", newline="")

    def write_source(self, source: SourceRecord) -> None:
        """Writes where its network learned first."""
        write_json(self.path / "source.json", source.model_dump())

    def write_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Writes the kept weights, with a note that says of what network they are."""
        note = WeightsNote(
            network=self.recipe.network,
            preprocessing=self.preprocessing,
            final_scale=self.recipe.final_scale,
            tta_views=self.recipe.tta_views,
        )
        write_arrays(self.path / _WEIGHTS, weights, {WEIGHTS_NOTE: note.model_dump_json()})

    def write_validation_images(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Writes the validation images that later checks use."""
        with self.place(_VALIDATION) as path:
            np.savez_compressed(path, images=images, labels=labels)

    def _weights_file(self) -> Path:
        path = self.path / _WEIGHTS
        if not path.is_file():
            raise RunError(
                f"the run '{self.path}' has no weights: its training did not get as far as saving them",
                remedy=f"go on with it: {command_line('train', '--resume', self.path)}",
            )
        return path


def require_path(run: object) -> Path:
    """The path by which a run, or an exported model file, is named.

    Raises:
        RunError: it is named by something else, by nothing, or by a path that is too long.
    """
    expected = "the path of a directory made by `saccade train`, or a Run"
    return named_path(run, RunError, what="a run", expected=expected)


def require_runs(runs: object) -> list[Run | Path]:
    """Several runs, from a run or a path, or from any number of them.

    Raises:
        RunError: one of them is neither.
    """
    several: Iterable[object] = [runs]
    if not isinstance(runs, Run | str | bytes | os.PathLike) and isinstance(runs, Iterable):
        several = runs
    return [run if isinstance(run, Run) else require_path(run) for run in several]


def _what_is_there(directory: Path) -> str:
    if not directory.exists():
        return "nothing of that name"
    return "a file" if directory.is_file() else "a directory without them"
