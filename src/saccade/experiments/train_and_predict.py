"""One training of an experiment, of which only the predictions for held-out images are kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from saccade.atomic_io import write_arrays
from saccade.data.dataset import Dataset, Split
from saccade.errors import RunError
from saccade.inference.predictor import Predictor
from saccade.machine import memory_bytes
from saccade.runs.predictions import Predictions
from saccade.training.progress import Progress
from saccade.training.repeated_training import Method


def train_and_predict(
    method: Method,
    dataset: Dataset,
    splits: tuple[Split, Split],
    place: Path,
    *,
    progress: bool | Progress = False,
) -> Predictions:
    """Train on one split, write the predictions for another split, and remove the run.

    If the predictions exist, they are read and nothing is trained. A killed training is resumed.

    Args:
        method: method of training.
        dataset: dataset of both splits.
        splits: training split and held-out split.
        place: run directory during the training. The predictions are written to `<place>.safetensors`.
        progress: `True` to log the training on stderr, or the callback that logs it.

    Raises:
        KeyboardInterrupt: the user stopped the training; a second call resumes it.
        TrainingError: the training failed.
        RunError: the existing predictions are for other images, or a file cannot be read or written.
    """
    training, held_out = splits
    kept = predictions_file(place)
    if kept.exists():
        predictions = _read_predictions(kept, held_out, len(dataset.class_names))
    else:
        run = method.train(with_training_split(dataset, training), place, progress=progress)
        if run.status().state == "interrupted":
            raise KeyboardInterrupt
        predictions = Predictions.of(held_out, Predictor.from_run(run).probabilities_of(held_out))
        write_arrays(kept, vars(predictions))
    shutil.rmtree(place, ignore_errors=True)
    return predictions


def predictions_file(place: Path) -> Path:
    """Return the file of the predictions of a training in a run directory."""
    return place.with_name(f"{place.name}.safetensors")


def with_training_split(dataset: Dataset, training: Split) -> Dataset:
    """Return the dataset with the given training split, an empty test split and no validation split."""
    empty = training.subset(np.empty(0, np.int64))
    return replace(dataset, splits={"train": training, "test": empty}, test_is_made=False)


def _read_predictions(path: Path, held_out: Split, classes: int) -> Predictions:
    predictions = Predictions.read(path, classes, memory_bytes() // 4)
    expected = Predictions.of(held_out, predictions.probabilities)
    if not np.array_equal(predictions.hashes, expected.hashes) or not np.array_equal(
        predictions.labels, expected.labels
    ):
        raise RunError(
            f"'{path}' holds predictions for other images",
            remedy="name another directory with --out",
        )
    return predictions
