"""Features that give the label away without a look at what the image shows: size, format, mode, brightness."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding
from saccade.auditing.image_checks import Brightness

_FOLDS = 5
_MOST_IMAGES = 20_000
_LEAST_PER_CLASS = 10
# How much of the way from chance to perfect a feature must go by itself. Ships are bluish and bright: some is natural.
_LEAST_SKILL = {"size": 0.2, "format": 0.2, "mode": 0.2, "brightness": 0.5}
_STANDARD_ERRORS = 4.0
_FIXES = {
    "size": "crop or resize the images of all classes alike, or collect them from the same sources",
    "format": "convert the images of all classes from the same format, or collect them from the same sources",
    "mode": "convert all images to the same mode (all gray, or all in color)",
    "brightness": "collect images of all classes in the same light, and test on others than these",
}


def shortcut_findings(images: AuditedImages, measured: Brightness) -> list[Finding]:
    """The features from which a small decision tree tells the class far better than by chance."""
    used = _used(images)
    labels = images.all.labels[used]
    features = _features(images, measured, used)
    skills = {name: _skill(values, labels) for name, values in features.items()}
    return [_finding(name, *skill) for name, skill in skills.items() if skill and _is_informative(name, *skill)]


def _used(images: AuditedImages) -> NDArray[np.int64]:
    """Images of the classes that are large enough; a fixed draw where there are many."""
    labels = images.all.labels
    counts = np.bincount(labels)
    enough = np.flatnonzero(counts[labels] >= _LEAST_PER_CLASS)
    drawn = np.random.Generator(np.random.Philox(0)).permutation(enough)[:_MOST_IMAGES]
    return np.sort(drawn)


def _features(images: AuditedImages, measured: Brightness, used: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    sizes = images.all.sizes[used].astype(np.float64)
    return {
        "size": np.column_stack([sizes, sizes[:, 1] / sizes[:, 0]]),
        "format": _one_hot(np.asarray(images.all.formats)[used]),
        "mode": _one_hot(np.asarray(images.all.modes)[used]),
        "brightness": np.column_stack([measured.mean[used], measured.deviation[used]]),
    }


def _one_hot(names: NDArray[np.str_]) -> NDArray[np.float64]:
    columns: NDArray[np.float64] = (names[:, None] == np.unique(names)).astype(np.float64)
    return columns


def _skill(values: NDArray[Any], labels: NDArray[np.int64]) -> tuple[float, float, int] | None:
    """Cross-validated mean recall of a small tree, that of guessing, and the images it was measured on."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or (values == values[0]).all() or counts.min() < _FOLDS:
        return None
    tree = DecisionTreeClassifier(
        max_leaf_nodes=max(8, 2 * len(classes)), min_samples_leaf=3, class_weight="balanced", random_state=0
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    correct = cross_val_predict(tree, values, labels, cv=folds) == labels
    return float(np.mean([correct[labels == label].mean() for label in classes])), 1 / len(classes), len(labels)


def _is_informative(name: str, recall: float, chance: float, n: int) -> bool:
    error = math.sqrt(chance * (1 - chance) / n)
    return (recall - chance) / (1 - chance) >= _LEAST_SKILL[name] and recall > chance + _STANDARD_ERRORS * error


def _finding(name: str, recall: float, chance: float, n: int) -> Finding:
    summary = (
        f"the {name} alone tells the class of {recall:.0%} of the images (mean over the classes, {n:,} images; "
        f"guessing: {chance:.0%}): a network may learn that instead of what is shown"
    )
    return Finding(f"shortcut-{name}", "warning", summary, _FIXES[name])
