"""Roles of the validation images: selection of the weights, and calibration of temperature, thresholds and OOD p-value.

The chosen weights have a higher accuracy on the images that chose them than on other images. A network that is
calibrated on these images is overconfident, and misses the target accuracy of `--abstain` too often. So if validation
images choose anything, they are divided into two halves, one for selection and one for calibration. If there are too
few to be divided, they are cross-fitted: the predictions for each half come from the weights that the other half
chooses.

Source of cross-fitting: V. Chernozhukov et al., "Double/debiased machine learning for treatment and structural
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

MIN_IMAGES_TO_HALVE = 100
"""Smallest number of validation images that are divided; half of fewer images is too small a sample for either role."""


@dataclass(frozen=True, eq=False)
class ValidationRoles:
    """Validation images of a training, by role.

    Attributes:
        selection: images for the validation accuracy of each epoch, and for the choice of the weights.
        penalty: images for the choice of the linear head's penalty; if empty, training images are held out for it.
        calibration: images for temperature, thresholds and OOD p-value.
        relation: relation between the calibration images and the images that choose the weights.
        second: bool [n], mask of the calibration images in the second half; None unless they are cross-fitted.
    """

    selection: Split
    penalty: Split
    calibration: Split
    relation: Selection
    second: NDArray[np.bool_] | None = None


def validation_roles(validation: Split, recipe: Recipe) -> ValidationRoles:
    """Assign the validation images to roles, by the recipe, the number of images and their content hashes."""
    none = validation.subset(np.empty(0, np.int64))
    chooses_weights = recipe.weights_chosen_by_validation
    stops_early = recipe.epochs > 1 and bool(recipe.patience)
    if not (chooses_weights or stops_early or recipe.transfer):
        return ValidationRoles(validation, none, validation, "none")
    second = second_half(validation)
    can_be_halved = bool(second.any())
    if can_be_halved and len(validation) >= MIN_IMAGES_TO_HALVE:
        selection, calibration = (validation.subset(np.flatnonzero(half)) for half in (~second, second))
        return ValidationRoles(selection, selection, calibration, "other images")
    if can_be_halved and chooses_weights:
        return ValidationRoles(validation, none, validation, "cross-fitted", second)
    # Few images do not choose a penalty. Early stopping can't be cross-fitted: a training stops only once.
    relation: Selection = "same images" if chooses_weights or stops_early else "none"
    return ValidationRoles(validation, none, validation, relation)
