"""Predictions of a run for each image of a split, kept for comparisons, reports and calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.errors import RunError
from saccade.runs.safe_loading import read_arrays

VALIDATION_PREDICTIONS = "predictions-validation.safetensors"
"""Name of the run's file with the predictions for the validation split."""

_DTYPES: dict[str, type[np.generic]] = {"labels": np.int64, "probabilities": np.float32, "hashes": np.uint8}
_HASH_BYTES = 16


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of a run for each image of a split, in the order of the split.

    Attributes:
        labels: true classes, int64 [n].
        probabilities: predicted probabilities, float32 [n, classes].
        hashes: content hashes of the encoded images, uint8 [n, 16]; equal for the same image in every run.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    hashes: NDArray[np.uint8]

    @classmethod
    def of(cls, images: Split, probabilities: NDArray[np.float32]) -> Predictions:
        """Return the predictions for a split of n images from probabilities, float32 [n, classes]."""
        hashes = np.frombuffer(bytes.fromhex("".join(images.hashes)), np.uint8).reshape(len(images), -1)
        return cls(images.labels, probabilities, hashes)

    @classmethod
    def read(cls, path: Path, classes: int, limit: int) -> Predictions:
        """Read a safetensors file that holds the attributes by name.

        Args:
            path: file to read.
            classes: number of classes of the run.
            limit: largest size of the file, in bytes.

        Raises:
            RunError: the file can't be read, is damaged, or holds other arrays.
        """
        arrays = read_arrays(path, limit, _DTYPES)
        n = len(arrays["labels"])
        shapes = {"labels": (n,), "probabilities": (n, classes), "hashes": (n, _HASH_BYTES)}
        found = {name: array.shape for name, array in arrays.items()}
        labels, probabilities = arrays["labels"], arrays["probabilities"]
        if found != shapes or not ((labels >= 0) & (labels < classes)).all() or not np.isfinite(probabilities).all():
            raise RunError(f"'{path}' does not hold the predictions of this run", remedy="evaluate the run again")
        return cls(labels, probabilities, arrays["hashes"])
