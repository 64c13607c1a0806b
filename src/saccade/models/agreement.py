"""Agreement: whether a network in another form gives the probabilities of the network that it was made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]

# Two orders of the same sums in float32 are apart by their rounding; so much of it is borne by another form, and no
# more than this in all. EfficientNetV2B0, with random weights and a fitted head, was 8e-6 from its own answers in
# float64, and as far with its normalization folded: that the two are within 1e-5 of each other would be luck.
_ROUNDINGS = 4
_MOST_ROUNDING = 1e-4
_RANDOM_IMAGES = 32


def random_images(height: int, width: int) -> NDArray[np.uint8]:
    """Draw 32 random images for the comparison of a run without validation images, uint8 [32, height, width, 3]."""
    return np.random.default_rng(0).integers(0, 256, (_RANDOM_IMAGES, height, width, 3), np.uint8)


def disagreement(
    found: Probabilities,
    expected: Probabilities,
    tolerance: float,
    unfolded: Callable[[], Probabilities] | None = None,
) -> tuple[str, str] | None:
    """Compare the probabilities of a network in another form with those of the network itself.

    Args:
        found: of the other form, float32 [n, classes].
        expected: of the network with its normalization folded, float32 [n, classes].
        tolerance: the largest difference between two probabilities.
        unfolded: gives the probabilities of the network before its normalization is folded, float32 [n, classes]: the
            same but for rounding. Where four times this rounding is more than the tolerance, it is allowed, up to 1e-4.
            None: the tolerance alone counts.

    Returns:
        None where the two agree. Else what was expected and what was found: a probability differs by more, or is no
        number, or an image gets another class (ties aside).
    """
    difference = float(np.abs(found - expected).max())
    allowed = _allowed(difference, expected, tolerance, unfolded)
    # Not `difference > allowed`, which is false when a probability is not a number.
    if not difference <= allowed:
        return f"probabilities within {allowed:.0e}", f"a largest difference of {difference:.2g}"
    other = found.argmax(axis=1) != expected.argmax(axis=1)
    if (_margins(expected)[other] > 2 * allowed).any():
        return "the same class for each image", f"another for {other.sum()} of {len(found)}"
    return None


def _allowed(
    difference: float, expected: Probabilities, tolerance: float, unfolded: Callable[[], Probabilities] | None
) -> float:
    """The tolerance, or more where rounding explains more; that is looked at only where the tolerance won't do."""
    if difference <= tolerance or tolerance >= _MOST_ROUNDING or unfolded is None:
        return tolerance
    own = float(np.abs(unfolded() - expected).max())
    return max(tolerance, min(_MOST_ROUNDING, _ROUNDINGS * own))


def _margins(probabilities: Probabilities) -> Probabilities:
    """How far the first class is ahead of the second."""
    best = np.sort(probabilities, axis=1)
    margins: Probabilities = best[:, -1] - best[:, -2]
    return margins
