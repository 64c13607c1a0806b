"""Classifier from an exported file: base class of the file formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from saccade.data.dataset import Preprocessing, Split, slices_of
from saccade.errors import RunError
from saccade.progress import counting
from saccade.runs.records import ModelRecord
from saccade.runs.schema import require_schema

_BATCH_PIXELS = 100 * 32 * 32
CHUNK_IMAGES = 500
"""Number of images of a split that are read at a time."""


@dataclass(frozen=True)
class ModelFile(ABC):
    """Classifier from an exported file.

    Attributes:
        record: record of the model: classes, preprocessing and origin.
    """

    record: ModelRecord

    @abstractmethod
    def predict_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities, [n, classes], of a batch of pixels, float32 [n, height, width, 3]."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.record.class_names

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of the images."""
        return self.record.preprocessing

    @property
    def batch_size(self) -> int:
        """Number of images in a batch, at least 1."""
        return max(1, _BATCH_PIXELS // (self.preprocessing.height * self.preprocessing.width))

    def probabilities_of(self, split: Split, *, progress: bool = False) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes], of the images of a split, read in chunks."""
        chunks = [np.empty((0, len(self.class_names)), np.float32)]
        with counting("scoring", total=len(split), unit="images", shown=progress) as bar:
            for images in split.batches(slices_of(len(split), CHUNK_IMAGES)):
                chunks.append(self.probabilities(images))
                bar.update(len(images))
        return np.concatenate(chunks)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes], of preprocessed images, uint8 [n, height, width, 3]."""
        probabilities = np.empty((len(images), len(self.class_names)), np.float32)
        for batch in slices_of(len(images), self.batch_size):
            probabilities[batch] = self.predict_batch(images[batch].astype(np.float32))
        return probabilities


def read_model_record(text: str | bytes, name: str) -> ModelRecord:
    """Read the record of a model file.

    Args:
        text: record as JSON.
        name: name of the file, for errors.

    Raises:
        RunError: the record is damaged or of another version.
    """
    require_schema(text, f"'{name}'", remedy="export it again, from a run of this version")
    try:
        return ModelRecord.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RunError(f"'{name}' is damaged or of another version", found=str(first["msg"])) from None
