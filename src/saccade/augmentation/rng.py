"""The order of samples in an epoch: a pure function of (seed, epoch)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

_FIRST_LOOK = 5000

# Each use of random numbers has a stream of its own, so that adding one does not change another.
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
    """A generator of its own for each seed, epoch and stream (Philox, Salmon et al. 2011: counter-based).

    Args:
        seed: of the training, 0 to 2**32 - 1.
        epoch: counted from 0.
        stream: what the numbers are for.
    """
    return np.random.Generator(np.random.Philox(key=np.array([(_STREAMS[stream] << 32) | seed, epoch], np.uint64)))


def sample_order(n: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order in which an epoch visits its n samples: a permutation, int64 [n]."""
    return make_rng(seed, epoch, "order").permutation(n).astype(np.int64)


def first_look(n: int, *, seed: int) -> NDArray[np.int64]:
    """Which of n training images a network looks at to set itself up, and what is familiar is learned from.

    Returns:
        Positions of up to 5,000, drawn by the seed, ascending.
    """
    return np.sort(make_rng(seed, 0, "first look").permutation(n)[:_FIRST_LOOK]).astype(np.int64)
