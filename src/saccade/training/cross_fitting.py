"""Cross-fitting: choice of weights by each half of the validation images, during the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np

from saccade.data.dataset import Split
from saccade.recipes import Phase
from saccade.runs.training_state import TrainingState
from saccade.training.transfer_learning.pretrained import Weights
from saccade.training.validation_roles import ValidationRoles


class Validator(Protocol):
    """Validation of weights on images."""

    def __call__(self, weights: Weights, validation: Split, /) -> tuple[float, float]:
        """Return loss and accuracy."""

    def fine_tuning_helped(self, head_alone: Weights, finetuned: Weights, validation: Split, /) -> bool:
        """Return whether the fine-tuned weights predict the images at least as well as the head alone."""


_NAMES = ("first-half", "second-half")


class CrossFitting:
    """Weights that each half of the validation images chooses; empty unless the roles require cross-fitting.

    Args:
        roles: roles of the validation images.
        keep: value of the recipe key `keep`.
        state: state of the training; it holds accuracy and negative loss of the chosen weights on each half.
        score: validation of weights on images.
        kept: named weights of a checkpoint; empty at the start of a training.
    """

    def __init__(
        self,
        roles: ValidationRoles,
        keep: Literal["last", "best", "if_improved"],
        state: TrainingState,
        score: Validator,
        kept: Mapping[str, Weights],
    ) -> None:
        self._keep, self._state, self._score = keep, state, score
        second = roles.second
        self._halves = (
            () if second is None else tuple(roles.selection.subset(np.flatnonzero(half)) for half in (~second, second))
        )
        self.kept = {name: kept[name] for name in _NAMES if name in kept}
        """Weights chosen so far, by the name of the half, for checkpoints."""

    def on_epoch_end(self, phase: Phase, weights: Weights) -> None:
        """Update the chosen weights after an epoch.

        With keep=if_improved, only the weights after the head phase are kept.
        """
        if self._keep == "if_improved" and phase != "head":
            return
        for name, half in zip(_NAMES, self._halves, strict=False):
            loss, accuracy = self._score(weights, half)
            before = self._state.half_merits.get(name)
            if before is None or (accuracy, -loss) > before:
                self._state.half_merits[name] = (accuracy, -loss)
                self.kept[name] = weights

    def chosen(self, last: Weights) -> tuple[Weights, ...]:
        """Return the weights that the first and the second half choose; empty unless cross-fitted."""
        return tuple(self._chosen_by(name, half, last) for name, half in zip(_NAMES, self._halves, strict=False))

    def _chosen_by(self, name: str, half: Split, last: Weights) -> Weights:
        kept = self.kept.get(name)
        if kept is None:
            return last
        improved = self._keep == "if_improved" and self._score.fine_tuning_helped(kept, last, half)
        return last if improved else kept
