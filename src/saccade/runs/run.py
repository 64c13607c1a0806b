"""Run: the directory of a training, as a value. This package alone reads and writes run directories.

A run directory holds the files

    recipe.json           every choice of the training
    data.json             training data: name, source, fingerprint, class names, preprocessing, counts
    environment.json      versions and machine
    split.csv             split of each image: training, validation or test
    unreadable.csv        images that could not be read, with the reasons
    fixes.csv             images of the data that were dropped or relabeled, if there are any
    parent.json           run that this run extends, if it extends one
    plan.json             plan of a training within a time budget, with every change of the plan
    source.json           source of the pretrained weights of a transfer
    features.json         fingerprint of the features of a linear head, and the runtime that computed the features
    status.json           running, finished, stopped early or interrupted; epoch of the kept weights
    history.csv           a row per epoch, without clock times
    timings.csv           seconds and images per second of each epoch
    history.png           loss and accuracy per epoch; as bars after a single epoch
    checkpoints/          states from which an unfinished training resumes, and a finished training can be extended
    training.lock, training.pid   lock and process id of a training that is running
    weights.safetensors   kept weights, by `layer/variable`
    calibration.json      temperature, by which the logits are divided
    folds.json            out-of-fold accuracy of a cross-validation
    predictions-validation.safetensors   calibrated predictions for each validation image; after a cross-validation,
                          out-of-fold predictions for each training image
    ood.safetensors       statistics of the training images in the first layers, for the out-of-distribution p-value
    model.keras           weights and temperature as a stock Keras model that ends in probabilities, for use elsewhere
    model.onnx            the same model for ONNX Runtime, which starts fast; it may be missing
    validation.npz        up to 1,000 validation images with labels, for later checks

and later the files of `evaluate`, `report` and `export`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import defaultdict
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
    FeaturesRecord,
    ModelRecord,
    Parent,
    SourceRecord,
    SplitRow,
    Status,
    WeightsNote,
    decoding_description,
)
from saccade.runs.results import is_result
from saccade.runs.safe_loading import read_contents, read_images, read_record, read_rows, read_weights
from saccade.runs.time_budget_state import FeaturePlan, Plan
from saccade.sanitize import command_line, printable

_WEIGHTS = "weights.safetensors"
WEIGHTS_NOTE = "saccade"
"""Name of the note in the metadata of `weights.safetensors`: a `WeightsNote`."""

_VALIDATION = "validation.npz"
_OOD_FILE = "ood.safetensors"
INFERENCE_ONNX = "model.onnx"
"""Name of the model that classifies a few images, because it opens in a tenth of a second."""

CARD = "README.md"
"""Name of the model card that `report` writes."""

CARD_MARK = "<!-- written by `saccade report`; without this line it is left alone -->"
"""Line that marks a model card as written by `report`."""

_FIXES = "fixes.csv"
_PLAN = "plan.json"
_FOLDS = "folds.json"
_FEATURES = "features.json"
_LARGEST_CARD = 1_000_000
_SPLIT = "split.csv"
_LARGEST_SPLIT = 10**9


@dataclass(frozen=True)
class Run:
    """Directory of a training.

    Attributes:
        path: directory.
        recipe: every choice of the training.
        data: training data.
    """

    path: Path
    recipe: Recipe
    data: DataRecord

    def __repr__(self) -> str:
        return f"<Run {self.path}: recipe {self.recipe.name} on {self.data_name}, {len(self.class_names):,} classes>"

    @classmethod
    def open(cls, path: Run | str | Path) -> Run:
        """Open a run directory.

        Raises:
            RunError: the directory is not a run, or a run of another version, or a record in it is damaged.
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
        data = read_record(directory / "data.json", DataRecord)  # first, because data.json has the schema version
        return cls(path=directory, recipe=read_record(directory / "recipe.json", Recipe), data=data)

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.path.resolve().name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names, in the order of the network's outputs."""
        return self.data.class_names

    @property
    def preprocessing(self) -> Preprocessing:
        """Conversion of images to the network's input."""
        return self.data.preprocessing

    @property
    def data_name(self) -> str:
        """Short name of the data."""
        return self.data.name

    @property
    def data_source(self) -> str:
        """Name or absolute path of the data."""
        return self.data.source

    @property
    def data_fingerprint(self) -> str:
        """Fingerprint of the contents of the data."""
        return self.data.fingerprint

    @property
    def checkpoints(self) -> Checkpoints:
        """Checkpoints of the training."""
        records = b"".join((self.path / name).read_bytes() for name in ("recipe.json", "data.json"))
        return Checkpoints(self.path / "checkpoints", hashlib.sha256(records).hexdigest())

    def status(self) -> Status:
        """Read the status of the training."""
        return read_record(self.path / "status.json", Status)

    def environment(self) -> Environment:
        """Read the environment of the training."""
        return read_record(self.path / "environment.json", Environment)

    def folds(self) -> FoldsRecord | None:
        """Read the result of the cross-validation; None without a cross-validation."""
        path = self.path / _FOLDS
        return read_record(path, FoldsRecord) if path.exists() else None

    def parent(self) -> Parent | None:
        """Read the record of the run that this run extends; None where it extends none."""
        path = self.path / "parent.json"
        return read_record(path, Parent) if path.exists() else None

    def plan(self) -> Plan | FeaturePlan | None:
        """Read the plan of a training within a time budget; None without a time budget."""
        path = self.path / _PLAN
        if not path.exists():
            return None
        return read_record(path, FeaturePlan) if self.recipe.head_only else read_record(path, Plan)

    def source(self) -> SourceRecord | None:
        """Read the source of the pretrained weights; None where the run is no transfer."""
        path = self.path / "source.json"
        return read_record(path, SourceRecord) if path.exists() else None

    def model_record(self) -> ModelRecord:
        """Return the metadata of exported models."""
        environment = self.environment()
        return ModelRecord(
            name=printable(self.name),
            class_names=self.class_names,
            preprocessing=self.preprocessing,
            decoding=decoding_description(self.preprocessing),
            temperature=self.temperature,
            tta_views=self.recipe.tta_views,
            data=self.data_name,
            data_fingerprint=self.data_fingerprint,
            weights=self.weights_fingerprint(),
            versions={"saccade": environment.saccade, "python": environment.python, **environment.packages},
        )

    def inference_onnx(self) -> bytes | None:
        """Return the contents of `model.onnx`; None where the file is missing.

        Raises:
            RunError: the file can't be read, or is too large.
        """
        path = self.path / INFERENCE_ONNX
        return read_contents(path, memory_bytes() // 4) if path.exists() else None

    def card(self) -> str | None:
        """Return the text of the model card; None where there is no model card.

        Raises:
            RunError: the file can't be read, or is too large.
        """
        path = self.path / CARD
        return read_contents(path, _LARGEST_CARD).decode(errors="replace") if path.exists() else None

    @property
    def num_validation_images(self) -> int:
        """Number of images of the validation accuracies in the history."""
        recorded = self.status().num_validation_images
        return self.data.num_images["validation"] if recorded is None else recorded

    def calibration(self) -> Calibration | None:
        """Read the calibration; None without calibration images, and before the end of the training."""
        path = self.path / "calibration.json"
        return read_record(path, Calibration) if path.exists() else None

    @property
    def temperature(self) -> float:
        """Divisor of the logits; 1 where the run is not calibrated."""
        calibration = self.calibration()
        return 1.0 if calibration is None else calibration.temperature

    def fixes(self) -> tuple[Fix, ...]:
        """Return the fixes of the training data: the images that were dropped or relabeled.

        Raises:
            DataError: the run's fixes.csv is damaged.
        """
        path = self.path / _FIXES
        return read_fixes(path) if path.exists() else ()

    def split_of(self) -> dict[str, SplitName]:
        """Return content hash -> split of the image in the training, the argument `previous_split` of `splits_of`.

        Of identical files in several splits, which only the data itself can cause, the training split counts.

        Raises:
            RunError: the run's split.csv is missing or damaged.
        """
        rows = self._split_rows()
        return {row.hash: row.split for split in reversed(SPLIT_NAMES) for row in rows if row.split == split}

    def classes_of(self) -> dict[str, set[str]]:
        """Return content hash -> classes of the image in the training; identical files may have several classes.

        Raises:
            RunError: the run's split.csv is missing or damaged.
        """
        classes: dict[str, set[str]] = defaultdict(set)
        for row in self._split_rows():
            classes[row.hash].add(row.class_name)
        return classes

    def _split_rows(self) -> list[SplitRow]:
        rows = read_rows(self.path / _SPLIT, SplitRow, _LARGEST_SPLIT)
        if not rows:
            raise RunError(f"'{self.path / _SPLIT}' is damaged", found="no images")
        return rows

    def clean(self) -> None:
        """Remove unfinished files of a training that was killed. The caller must hold the lock of the run."""
        for left in self.path.glob(f"{TEMPORARY}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        self.checkpoints.clean()

    def has_foreign_card(self) -> bool:
        """Return whether the run has a README.md that `report` did not write, and does not overwrite."""
        path = self.path / CARD
        return path.exists() and CARD_MARK not in path.read_text(encoding="utf-8", errors="replace")

    def remove_results(self) -> bool:
        """Remove the results of the run's weights, before other weights replace them.

        Only files that `evaluate` and `report` write directly into the run are removed: exported models, folders and
        files of the user stay.

        Returns:
            True where a file was removed.
        """
        results = [path for path in self.path.iterdir() if path.is_file() and is_result(path.name)]
        if (self.path / CARD).is_file() and not self.has_foreign_card():
            results.append(self.path / CARD)
        for path in results:
            path.unlink()
        return bool(results)

    def history(self) -> list[EpochRecord]:
        """Read the records of the epochs, in order."""
        path = self.path / "history.csv"
        if not path.is_file():
            return []
        return read_rows(path, EpochRecord)

    def timings(self) -> list[EpochTiming]:
        """Read the clock times of the epochs, in order."""
        path = self.path / "timings.csv"
        return read_rows(path, EpochTiming) if path.is_file() else []

    def evaluation(self, name: str = "report.json") -> EvaluationRecord | None:
        """Read the record of an evaluation; None where there is none, or where it is of other weights."""
        path = self.path / name
        record = read_record(path, EvaluationRecord) if path.is_file() else None
        return record if record and record.weights == self.weights_fingerprint() else None

    def weights_fingerprint(self) -> str:
        """Return the hexadecimal SHA-256 of the kept weights and the temperature."""
        contents = read_contents(self._weights_file(), memory_bytes() // 2)
        return hashlib.sha256(contents + repr(self.temperature).encode()).hexdigest()

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the kept weights, `layer/variable` -> array.

        Raises:
            RunError: there are no weights yet, or the file is damaged.
        """
        # A network of more than half of the memory could not be built.
        return read_weights(self._weights_file(), memory_bytes() // 2)

    @property
    def has_validation_images(self) -> bool:
        """True where validation images are kept in the run."""
        return (self.path / _VALIDATION).is_file()

    def validation_images(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the kept validation images, uint8 [n, height, width, 3], and labels, int64 [n]; n may be 0."""
        path = self.path / _VALIDATION
        if not path.is_file():
            return np.empty((0, self.preprocessing.height, self.preprocessing.width, 3), np.uint8), np.empty(
                0, np.int64
            )
        return read_images(path, self.preprocessing.height, self.preprocessing.width)

    def ood_statistics(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the arrays of `saccade.runs.ood_p_value.OodPValue`; None where the run has none."""
        path = self.path / _OOD_FILE
        return read_weights(path, memory_bytes() // 8) if path.exists() else None

    def predictions(self, name: str) -> Predictions:
        """Read the predictions of an evaluation from the run's file `name`.

        Raises:
            RunError: the file is missing or damaged.
        """
        return Predictions.read(self.path / name, len(self.class_names), memory_bytes() // 4)

    def place(self, name: str) -> AbstractContextManager[Path]:
        """Yield a temporary path that replaces the run's file `name` when the block ends without an error."""
        return atomic_write(self.path / name)

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as JSON to the run's file `name`."""
        write_json(self.path / name, value)

    def write_ood_statistics(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Write the arrays of the out-of-distribution p-value."""
        write_arrays(self.path / _OOD_FILE, arrays)

    def write_predictions(self, name: str, predictions: Predictions) -> None:
        """Write predictions to the run's file `name`."""
        write_arrays(self.path / name, vars(predictions))

    def write_status(self, status: Status) -> None:
        """Write the status of the training."""
        write_json(self.path / "status.json", status.model_dump())

    def record_workers(self, workers: int) -> None:
        """Record the number of workers with which the training begins."""
        environment = self.environment().model_copy(update={"workers": workers})
        write_json(self.path / "environment.json", environment.model_dump())

    def write_plan(self, plan: Plan | FeaturePlan) -> None:
        """Write the plan of a training within a time budget."""
        write_json(self.path / _PLAN, plan.model_dump())

    def write_folds(self, folds: FoldsRecord) -> None:
        """Write the result of the cross-validation."""
        write_json(self.path / _FOLDS, folds.model_dump())

    def write_calibration(self, calibration: Calibration) -> None:
        """Write the calibration."""
        write_json(self.path / "calibration.json", calibration.model_dump())

    def write_history(
        self,
        records: Sequence[EpochRecord],
        timings: Sequence[tuple[float, int]],
        exchanges: Sequence[tuple[int, float]] = (),
    ) -> None:
        """Write the history, and the clock times in a file of their own.

        Args:
            records: record of each epoch.
            timings: seconds, with validation, and number of training images of each epoch.
            exchanges: number of workers of each epoch, and the seconds of their exchange; empty for one worker.
        """
        write_rows(
            self.path / "history.csv", list(EpochRecord.model_fields), [record.model_dump() for record in records]
        )
        rows = [
            {"epoch": record.epoch, "seconds": round(seconds, 3), "images_per_second": round(images / seconds, 1)}
            for record, (seconds, images) in zip(records, timings, strict=True)
        ]
        if any(workers > 1 for workers, _ in exchanges):
            for row, (workers, exchanged) in zip(rows, exchanges, strict=True):
                row |= {"workers": workers, "exchange_seconds": round(exchanged, 3)}
        names = ["epoch", "seconds", "images_per_second", "workers", "exchange_seconds"]
        write_rows(self.path / "timings.csv", names[: len(rows[0]) if rows else 3], rows)

    def write_unreadable(self, unreadable: Sequence[UnreadableImage]) -> None:
        """Write the unreadable images of the data, with the reasons."""
        rows = [{"split": image.split, "path": image.path, "reason": image.reason} for image in unreadable]
        write_rows(self.path / "unreadable.csv", ["split", "path", "reason"], rows)

    def write_split(self, splits: Mapping[SplitName, Split]) -> None:
        """Write the split of each image."""
        rows = [
            {"split": name, "path": path, "class": self.class_names[label], "hash": content}
            for name, split in splits.items()
            for path, label, content in zip(split.names, split.labels, split.hashes, strict=True)
        ]
        write_rows(self.path / _SPLIT, ["split", "path", "class", "hash"], rows)

    def write_fixes(self, fixes: Sequence[Fix]) -> None:
        """Write the fixes of the data."""
        with self.place(_FIXES) as path:
            path.write_text(fixes_text(fixes), encoding="utf-8", newline="")

    def write_source(self, source: SourceRecord) -> None:
        """Write the source of the pretrained weights."""
        write_json(self.path / "source.json", source.model_dump())

    def check_features(self, record: FeaturesRecord) -> None:
        """Write the record of the features; in a resumed training, compare it with the record of the beginning.

        Raises:
            RunError: the features differ, so the resumed training would give other bits.
        """
        path = self.path / _FEATURES
        before = read_record(path, FeaturesRecord) if path.exists() else record
        if before != record:
            raise RunError(
                f"the features of the images differ from those at the beginning of '{self.path}'",
                expected=f"{before.fingerprint[:16]} by {before.runtime}",
                found=f"{record.fingerprint[:16]} by {record.runtime}",
                remedy="to resume the training nevertheless: add --force",
            )
        write_json(path, record.model_dump())

    def remove_features(self) -> None:
        """Remove the record of the features, so that a resumed training may compute other features."""
        (self.path / _FEATURES).unlink(missing_ok=True)

    def write_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Write the kept weights, with a `WeightsNote` in the metadata."""
        note = WeightsNote(
            network=self.recipe.network,
            preprocessing=self.preprocessing,
            final_scale=self.recipe.final_scale,
            tta_views=self.recipe.tta_views,
        )
        write_arrays(self.path / _WEIGHTS, weights, {WEIGHTS_NOTE: note.model_dump_json()})

    def write_validation_images(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Write the validation images that later checks use."""
        with self.place(_VALIDATION) as path:
            np.savez_compressed(path, images=images, labels=labels)

    def _weights_file(self) -> Path:
        path = self.path / _WEIGHTS
        if not path.is_file():
            if self.status().state in ("finished", "stopped early"):
                raise RunError(
                    f"the run '{self.path}' has no {_WEIGHTS}, although its training is finished",
                    remedy="copy the run again, with all its files",
                )
            raise RunError(
                f"the run '{self.path}' has no weights: its training has not saved any yet",
                remedy=f"resume it: {command_line('train', '--resume', self.path)}",
            )
        return path


def require_path(run: object) -> Path:
    """Return the path of a run, or of an exported model file, that a caller names.

    Raises:
        RunError: the argument is no path, is empty, or is too long.
    """
    expected = "the path of a directory made by `saccade train`, or a Run"
    return named_path(run, RunError, what="a run", expected=expected)


def require_runs(runs: object) -> list[Run | Path]:
    """Return a list of runs and paths from a run, a path, or an iterable of runs and paths.

    Raises:
        RunError: an item is neither a run nor a path.
    """
    several: Iterable[object] = [runs]
    if not isinstance(runs, Run | str | bytes | os.PathLike) and isinstance(runs, Iterable):
        several = runs
    return [run if isinstance(run, Run) else require_path(run) for run in several]


def _what_is_there(directory: Path) -> str:
    if not directory.exists():
        return "nothing of that name"
    return "a file" if directory.is_file() else "a directory without them"


def is_run(place: Path) -> bool:
    """Return whether a path is a run directory, complete or not."""
    return (place / "recipe.json").is_file()


def has_ended(run: Run) -> bool:
    """Return whether the training of a run has ended."""
    return run.status().state in ("finished", "stopped early")
