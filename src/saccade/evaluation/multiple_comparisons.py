"""Adjustment of p-values for several comparisons."""

from __future__ import annotations

import numpy as np


def holm(p_values: list[float]) -> list[float]:
    """Adjust p-values for multiple comparisons by Holm's method.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979).
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
