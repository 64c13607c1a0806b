"""A classifier from a file that was exported: what all kinds of such files share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from saccade.data.dataset import Preprocessing, Split
from saccade.errors import RunError
from saccade.progress import counting
from saccade.runs.records import ModelRecord
from saccade.runs.schema import require_schema

_BATCH_PIXELS = 100 * 32 * 32
_CHUNK = 500  # images


@dataclass(frozen=True)
class ModelFile(ABC):
    """A classifier from a file.

    Attributes:
        record: what turns images into its input, and its output into an answer.
    """

    record: ModelRecord

    @abstractmethod
    def predict_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities of a batch, [n, classes], of pixels float32 [n, height, width, 3]."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.record.class_names

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become its input."""
        return self.record.preprocessing

    def probabilities_of(self, split: Split, *, progress: bool = False) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, classes], of a split's images, read in bounded chunks."""
        parts = [np.empty((0, len(self.class_names)), np.float32)]
        with counting("scoring", total=len(split), unit="images", shown=progress) as bar:
            for start in range(0, len(split), _CHUNK):
                images = split.take(slice(start, start + _CHUNK))
                parts.append(self.probabilities(images))
                bar.update(len(images))
        return np.concatenate(parts)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, classes], of images uint8 [n, height, width, 3] made by its rule."""
        batch = max(1, _BATCH_PIXELS // (self.preprocessing.height * self.preprocessing.width))
        predictions = np.empty((len(images), len(self.class_names)), np.float32)
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            predictions[part] = self.predict_batch(images[part].astype(np.float32))
        return predictions


def read_model_record(text: str | bytes, name: str) -> ModelRecord:
    """The record in a model file.

    Raises:
        RunError: it is damaged or of another version; `name` tells of which file.
    """
    require_schema(text, f"'{name}'", remedy="export it again, from a run of this version")
    try:
        return ModelRecord.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RunError(f"'{name}' is damaged or of another version", found=str(first["msg"])) from None
