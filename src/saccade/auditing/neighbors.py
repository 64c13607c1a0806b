"""Nearest neighbors of unit vectors: an exact search by cosine similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.training.transfer_learning.features import Features

_BLOCK = 1024  # vectors


def nearest_neighbors(units: Features, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the nearest other vectors of each vector, the nearest first.

    Args:
        units: unit vectors, float32 [n, d].
        count: number of neighbors, less than n.

    Returns:
        Positions, int64 [n, count], and cosine similarities, float32 [n, count].
    """
    positions = np.empty((len(units), count), np.int64)
    similarities = np.empty((len(units), count), np.float32)
    for start in range(0, len(units), _BLOCK):
        block = units[start : start + _BLOCK]
        rows = np.arange(len(block))
        values = block @ units.T
        values[rows, start + rows] = -np.inf
        chosen = np.argpartition(values, -count, axis=1)[:, -count:]
        order = np.argsort(-np.take_along_axis(values, chosen, axis=1), axis=1, kind="stable")
        positions[start : start + len(block)] = np.take_along_axis(chosen, order, axis=1)
        similarities[start : start + len(block)] = np.take_along_axis(
            values, positions[start : start + len(block)], axis=1
        )
    return positions, similarities
