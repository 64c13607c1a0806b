"""A classifier from a file that was exported: what all kinds of such files share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from saccade.data.dataset import PictureRule, Split
from saccade.data.progress import counting
from saccade.errors import RunError
from saccade.runs.records import ModelRecord
from saccade.runs.schema import require_schema

_BATCH_PIXELS = 100 * 32 * 32
_CHUNK = 500  # pictures


@dataclass(frozen=True)
class ModelFile(ABC):
    """A classifier from a file.

    Attributes:
        record: what turns pictures into its input, and its output into an answer.
    """

    record: ModelRecord

    @abstractmethod
    def answer(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities of a batch, [n, classes], of pixels float32 [n, height, width, 3]."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.record.class_names

    @property
    def rule(self) -> PictureRule:
        """How pictures become its input."""
        return self.record.rule

    def probabilities_of(self, split: Split, *, progress: bool = False) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, classes], of a split's pictures, read in bounded chunks."""
        parts = [np.empty((0, len(self.class_names)), np.float32)]
        with counting("scoring", total=len(split), unit="pictures", shown=progress) as bar:
            for start in range(0, len(split), _CHUNK):
                pictures = split.take(slice(start, start + _CHUNK))
                parts.append(self.probabilities(pictures))
                bar.update(len(pictures))
        return np.concatenate(parts)

    def probabilities(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, classes], of pictures uint8 [n, height, width, 3] made by its rule."""
        batch = max(1, _BATCH_PIXELS // (self.rule.height * self.rule.width))
        answers = np.empty((len(pictures), len(self.class_names)), np.float32)
        for start in range(0, len(pictures), batch):
            part = slice(start, start + batch)
            answers[part] = self.answer(pictures[part].astype(np.float32))
        return answers


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
