"""One training of an experiment: what its network says of images that it was not trained on is kept, no more."""

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
    """Trains on some images, asks the network about others, keeps its answers beside `place`, and drops the run.

    Where they are kept already nothing is trained, and a training that was killed is gone on with.

    Args:
        method: of the training.
        dataset: whose images these are.
        splits: what is trained on, and what is asked about.
        place: the run directory while it is trained; the answers are kept as `<place>.safetensors`.
        progress: whether to tell on stderr how it goes, or whom to tell instead.

    Raises:
        KeyboardInterrupt: the user stopped the training, which is saved and can be gone on with.
        TrainingError: it failed.
        RunError: what is kept there is of other images, or can't be read or written.
    """
    training, asked = splits
    kept = place.with_name(f"{place.name}.safetensors")
    if kept.exists():
        predictions = _kept(kept, asked, len(dataset.class_names))
    else:
        run = method.train(only(dataset, training), place, progress=progress)
        if run.status().state == "interrupted":
            raise KeyboardInterrupt
        predictions = Predictions.of(asked, Predictor.from_run(run).probabilities_of(asked))
        write_arrays(kept, vars(predictions))
    shutil.rmtree(place, ignore_errors=True)
    return predictions


def only(dataset: Dataset, training: Split) -> Dataset:
    """The data as one that has these images to train on, and none to validate or to test with."""
    nothing = training.subset(np.empty(0, np.int64))
    return replace(dataset, splits={"train": training, "test": nothing}, test_is_made=False)


def _kept(path: Path, asked: Split, classes: int) -> Predictions:
    predictions = Predictions.read(path, classes, memory_bytes() // 4)
    expected = Predictions.of(asked, predictions.probabilities)
    if not np.array_equal(predictions.hashes, expected.hashes) or not np.array_equal(
        predictions.labels, expected.labels
    ):
        raise RunError(
            f"'{path}' holds answers to other images than are asked about",
            remedy="name another directory with --out",
        )
    return predictions
