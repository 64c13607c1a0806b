"""The remaining time of an experiment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def seconds_left(done: Sequence[tuple[int, float]], left: Sequence[int]) -> float | None:
    """An estimate of how long trainings take: each a time of its own, and one for each image.

    Args:
        done: images and seconds of trainings that have ended.
        left: images of those to come.

    Returns:
        Seconds; None while trainings of one size alone have ended, from which that of others does not follow.
    """
    from scipy.optimize import nnls  # neither part of it can be negative

    if len({images for images, _ in done}) < 2:
        return None
    images, seconds = np.array(done, np.float64).T
    (own, each), _ = nnls(np.stack([np.ones(len(images)), images], axis=1), seconds)
    return float(own * len(left) + each * sum(left))


def in_words(seconds: float | None) -> str:
    """A time that is left, such as "about 12 minutes left"."""
    if seconds is None:
        return "the time that is left is not known yet"
    if seconds < 90:
        return f"about {seconds:.0f} seconds left"
    return f"about {seconds / 60:.0f} minutes left" if seconds < 5400 else f"about {seconds / 3600:.1f} hours left"
