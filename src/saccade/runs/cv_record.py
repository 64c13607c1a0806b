"""The record of a cross-validation."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]


class Fold(BaseModel):
    """One fold of a cross-validation.

    Attributes:
        num_images: in it.
        num_correct: how many of them were answered rightly by the network that was trained on the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    num_images: int = Field(ge=1)
    num_correct: int = Field(ge=0)

    @property
    def accuracy(self) -> float:
        """The part of its images that was answered rightly, 0 to 1."""
        return self.num_correct / self.num_images


class FoldsRecord(BaseModel):
    """What a cross-validation came to: a run's folds.json.

    Attributes:
        accuracy: out-of-fold: the part of all images that was answered rightly by networks that had not seen them.
        interval: 95%, see `saccade.experiments.fold_interval`.
        num_images: in all folds; each was answered once.
        seed: by which they were dealt; the networks have this one's successors.
        folds: in their order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    accuracy: Fraction
    interval: tuple[Fraction, Fraction] = Field(strict=False)  # JSON has lists alone
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
        """The result in words."""
        low, high = self.interval
        each = sorted(fold.accuracy for fold in self.folds)
        return (
            f"out-of-fold accuracy {self.accuracy:.2%} (95% interval {low:.2%} to {high:.2%}, n = {self.num_images:,}, "
            f"{len(self.folds)} folds of {each[0]:.2%} to {each[-1]:.2%})"
        )
