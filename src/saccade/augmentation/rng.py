"""Random number generators by (seed, epoch, stream)."""

from __future__ import annotations

from typing import Literal

import numpy as np

# Each use of random numbers has its own stream: a new use does not change the numbers of another one.
Stream = Literal[
    "order",
    "augmentation",
    "kept images",
    "first flips",
    "first look",
    "folds",
    "statistics",
    "head penalty",
    "tuning",
    "subsets",
]
_STREAMS: dict[Stream, int] = {
    "order": 1,
    "augmentation": 2,
    "kept images": 3,
    "first flips": 4,
    "first look": 5,
    "folds": 6,
    "statistics": 7,
    "head penalty": 8,
    "tuning": 9,
    "subsets": 10,
}


def make_rng(seed: int, epoch: int, stream: Stream) -> np.random.Generator:
    """Return the random number generator of a seed, epoch and stream (counter-based Philox, Salmon et al. 2011).

    Args:
        seed: seed of the training, 0 to 2**32 - 1.
        epoch: epoch, counted from 0.
        stream: use of the numbers.
    """
    return np.random.Generator(np.random.Philox(key=np.array([(_STREAMS[stream] << 32) | seed, epoch], np.uint64)))
