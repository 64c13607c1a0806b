"""The record of a cross-validation."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]


class Fold(BaseModel):
    """Result of one fold of a cross-validation.

    Attributes:
        num_images: number of images in the fold.
        num_correct: number of correct predictions, by the network that was trained on the other folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    num_images: int = Field(ge=1)
    num_correct: int = Field(ge=0)

    @property
    def accuracy(self) -> float:
        """Accuracy on the fold, 0 to 1."""
        return self.num_correct / self.num_images


class FoldsRecord(BaseModel):
    """Result of a cross-validation: the file folds.json of a run.

    Attributes:
        accuracy: out-of-fold accuracy, 0 to 1: each image is predicted by the network that was trained without it.
        interval: 95% interval of the accuracy, see `saccade.experiments.fold_interval`.
        num_images: number of images in all folds.
        seed: seed of the assignment of images to folds; the seeds of the networks follow it.
        folds: results of the folds, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    accuracy: Fraction
    interval: tuple[Fraction, Fraction] = Field(strict=False)  # JSON has no tuples
    num_images: int = Field(ge=1)
    seed: int = Field(ge=0)
    folds: tuple[Fold, ...] = Field(min_length=2, max_length=20, strict=False)

    @model_validator(mode="after")
    def _adds_up(self) -> FoldsRecord:
        if sum(fold.num_images for fold in self.folds) != self.num_images:
            raise ValueError("the folds' images don't add up")
        if any(fold.num_correct > fold.num_images for fold in self.folds):
            raise ValueError("a fold has more correct predictions than images")
        return self

    @property
    def summary(self) -> str:
        """Result in words."""
        low, high = self.interval
        each = sorted(fold.accuracy for fold in self.folds)
        return (
            f"out-of-fold accuracy {self.accuracy:.2%} (95% interval {low:.2%} to {high:.2%}, n = {self.num_images:,}, "
            f"{len(self.folds)} folds of {each[0]:.2%} to {each[-1]:.2%})"
        )
