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
    "crops",
    "vertical flips",
    "color jitter",
    "trivial augment",
    "erasing",
    "mixing",
    "balanced order",
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
    "crops": 11,
    "vertical flips": 12,
    "color jitter": 13,
    "trivial augment": 14,
    "erasing": 15,
    "mixing": 16,
    "balanced order": 17,
}


def make_rng(seed: int, epoch: int, stream: Stream, index: int = 0) -> np.random.Generator:
    """Return the random number generator of a seed, epoch, stream and index (counter-based Philox, Salmon et al. 2011).

    Args:
        seed: seed of the training, 0 to 2**32 - 1.
        epoch: epoch, counted from 0.
        stream: use of the numbers.
        index: number within the epoch, such as the position of a batch; 0 for numbers of the whole epoch.
    """
    key = np.array([(_STREAMS[stream] << 32) | seed, epoch], np.uint64)
    # The highest word of the counter: 2**192 blocks of numbers lie between two indices.
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, 0, index], np.uint64)))
