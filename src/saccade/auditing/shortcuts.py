"""Shortcuts: simple features that predict the label (size, format, mode, brightness)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding
from saccade.auditing.image_checks import Brightness

_FOLDS = 5
_MAX_IMAGES = 20_000
_MIN_PER_CLASS = 10
# Minimum of (recall - chance) / (1 - chance). The brightness of some classes differs naturally: ships are bright.
_MIN_SKILL = {"size": 0.2, "format": 0.2, "mode": 0.2, "brightness": 0.5}
_STANDARD_ERRORS = 4.0
_FIXES = {
    "size": "crop or resize the images of all classes in the same way, or collect them from the same sources",
    "format": "convert the images of all classes from the same format, or collect them from the same sources",
    "mode": "convert all images to the same mode (all gray, or all in color)",
    "brightness": "collect images of all classes in the same light, and test on images from other sources",
}


def shortcut_findings(images: AuditedImages, brightness: Brightness) -> list[Finding]:
    """Return findings on features from which a small decision tree predicts the class far better than chance."""
    sample = _sample(images)
    labels = images.all.labels[sample]
    features = _features(images, brightness, sample)
    skills = {name: _skill(values, labels) for name, values in features.items()}
    return [_finding(name, *skill) for name, skill in skills.items() if skill and _is_informative(name, *skill)]


def _sample(images: AuditedImages) -> NDArray[np.int64]:
    """Return positions of images of sufficiently large classes; a random sample with a fixed seed if there are many."""
    labels = images.all.labels
    counts = np.bincount(labels)
    candidates = np.flatnonzero(counts[labels] >= _MIN_PER_CLASS)
    sample = np.random.Generator(np.random.Philox(0)).permutation(candidates)[:_MAX_IMAGES]
    return np.sort(sample)


def _features(images: AuditedImages, brightness: Brightness, sample: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    sizes = images.all.sizes[sample].astype(np.float64)
    return {
        "size": np.column_stack([sizes, sizes[:, 1] / sizes[:, 0]]),
        "format": _one_hot(np.asarray(images.all.formats)[sample]),
        "mode": _one_hot(np.asarray(images.all.modes)[sample]),
        "brightness": np.column_stack([brightness.mean[sample], brightness.deviation[sample]]),
    }


def _one_hot(names: NDArray[np.str_]) -> NDArray[np.float64]:
    columns: NDArray[np.float64] = (names[:, None] == np.unique(names)).astype(np.float64)
    return columns


def _skill(values: NDArray[Any], labels: NDArray[np.int64]) -> tuple[float, float, int] | None:
    """Return the cross-validated mean recall of a small decision tree, the recall of chance, the number of images."""
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
    return (recall - chance) / (1 - chance) >= _MIN_SKILL[name] and recall > chance + _STANDARD_ERRORS * error


def _finding(name: str, recall: float, chance: float, n: int) -> Finding:
    summary = (
        f"the {name} alone predicts the class with a mean recall of {recall:.0%} ({n:,} images; chance: {chance:.0%}): "
        "a network may learn this shortcut instead of the contents of the images"
    )
    return Finding(f"shortcut-{name}", "warning", summary, _FIXES[name])
