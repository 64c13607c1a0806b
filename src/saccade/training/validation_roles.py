"""Which validation images choose the weights, and which calibrate: temperature, thresholds, what is familiar.

Images that chose the best of many epochs are answered better by its weights than others would be: calibrated on them,
a network would seem surer than it is, and a promise of `--abstain` would be false more often than it says. So where
validation images choose anything, they are halved. Where there are too few to be halved, they are cross-fitted: each
half is answered by the weights that the other half would have chosen.

Source of the second: V. Chernozhukov et al., "Double/debiased machine learning for treatment and structural
parameters", The Econometrics Journal 21 (2018), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.data.splits import second_half
from saccade.recipes import Recipe
from saccade.runs.records import Selection

FEWEST_TO_HALVE = 100
"""Validation images; of fewer, half would say too little of either."""


@dataclass(frozen=True, eq=False)
class ValidationRoles:
    """What each validation image of a training is for.

    Attributes:
        selection: images that the validation accuracy is measured on, and that choose the weights if any do.
        penalty: images that choose the penalty of a transfer's head; if empty, training images do.
        calibration: images that temperature, thresholds and OOD score come from.
        relation: how the last are related to those that chose the weights.
        second: bool [n]; which of the calibration images are in the second half, where they are cross-fitted.
    """

    selection: Split
    penalty: Split
    calibration: Split
    relation: Selection
    second: NDArray[np.bool_] | None = None


def validation_roles(validation: Split, recipe: Recipe) -> ValidationRoles:
    """Decides what each validation image is for, by the recipe, the number of images and their content hashes."""
    none = validation.subset(np.empty(0, np.int64))
    chooses_weights = recipe.weights_chosen_by_validation
    if not (chooses_weights or recipe.patience or recipe.transfer):
        return ValidationRoles(validation, none, validation, "none")
    second = second_half(validation)
    can_be_halved = bool(second.any())
    if can_be_halved and len(validation) >= FEWEST_TO_HALVE:
        selection, calibration = (validation.subset(np.flatnonzero(half)) for half in (~second, second))
        return ValidationRoles(selection, selection, calibration, "other images")
    if can_be_halved and chooses_weights:
        return ValidationRoles(validation, none, validation, "cross-fitted", second)
    # Of few images none choose a penalty. When to stop can't be chosen twice in one training.
    relation: Selection = "same images" if chooses_weights or recipe.patience else "none"
    return ValidationRoles(validation, none, validation, relation)
