"""Unit features, and their principal components."""

from __future__ import annotations

import warnings

import numpy as np

from saccade.training.transfer_learning.features import Features


def unit_features(features: Features) -> Features:
    """Return features, float32 [n, d], each divided by its norm."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)


def principal_components(features: Features, count: int, *, seed: int) -> Features:
    """Return at most `count` principal components of the unit features, float32 [n, k]."""
    from sklearn.decomposition import PCA

    units = unit_features(features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one image, or equal images: their variance is 0
        components: Features = PCA(min(count, *units.shape), random_state=seed).fit_transform(units)
    return components
