"""Principal components of unit features."""

from __future__ import annotations

import warnings

from saccade.training.transfer_learning.features import Features, unit_features


def principal_components(features: Features, count: int, *, seed: int) -> Features:
    """Return at most `count` principal components of the unit features, float32 [n, k]."""
    from sklearn.decomposition import PCA

    units = unit_features(features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one image, or equal images: their variance is 0
        components: Features = PCA(min(count, *units.shape), random_state=seed).fit_transform(units)
    return components
