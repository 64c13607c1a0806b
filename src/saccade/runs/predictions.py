"""Answers: what a run said of each image of a split, kept for whatever looks closer than an evaluation's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.errors import RunError
from saccade.runs.safe_loading import read_arrays

VALIDATION_PREDICTIONS = "predictions-validation.safetensors"
"""The run's file with its answers to the validation split."""

_DTYPES: dict[str, type[np.generic]] = {"labels": np.int64, "probabilities": np.float32, "hashes": np.uint8}
_HASH_BYTES = 16


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a run said of each image of a split, in the split's order.

    Attributes:
        labels: the true classes, int64 [n].
        probabilities: float32 [n, classes].
        hashes: content hashes of the encoded images, uint8 [n, 16]: the same image has the same in every run.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    hashes: NDArray[np.uint8]

    @classmethod
    def of(cls, images: Split, probabilities: NDArray[np.float32]) -> Predictions:
        """The answers, float32 [n, classes], to a split of n images."""
        hashes = np.frombuffer(bytes.fromhex("".join(images.hashes)), np.uint8).reshape(len(images), -1)
        return cls(images.labels, probabilities, hashes)

    @classmethod
    def read(cls, path: Path, classes: int, limit: int) -> Predictions:
        """Reads a safetensors file of the attributes by name.

        Args:
            path: the file.
            classes: number of classes of the run.
            limit: bytes that it may have at most.

        Raises:
            RunError: it can't be read, is damaged, or holds other arrays.
        """
        arrays = read_arrays(path, limit, _DTYPES)
        n = len(arrays["labels"])
        shapes = {"labels": (n,), "probabilities": (n, classes), "hashes": (n, _HASH_BYTES)}
        found = {name: array.shape for name, array in arrays.items()}
        labels, probabilities = arrays["labels"], arrays["probabilities"]
        if found != shapes or not ((labels >= 0) & (labels < classes)).all() or not np.isfinite(probabilities).all():
            raise RunError(f"'{path}' does not hold this run's answers", remedy="evaluate the run again")
        return cls(labels, probabilities, arrays["hashes"])
