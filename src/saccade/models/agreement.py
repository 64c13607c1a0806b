"""Agreement of a converted network with the original network: tolerance of probabilities and top-1 classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]

# The same sums in float32, added in another order, differ by rounding errors. The tolerance is raised to this multiple
# of the measured rounding error, but not above the maximum. The probabilities of EfficientNetV2B0, with random weights
# and a fitted head, differed by 8e-6 between float32 and float64, and by as much after folding: two float32 forms of
# this network can't be expected to agree within 1e-5.
_ROUNDING_FACTOR = 4
_MAX_TOLERANCE = 1e-4
_RANDOM_IMAGES = 32


def random_images(height: int, width: int) -> NDArray[np.uint8]:
    """Draw 32 random images for the comparison of a run without validation images, uint8 [32, height, width, 3]."""
    return np.random.default_rng(0).integers(0, 256, (_RANDOM_IMAGES, height, width, 3), np.uint8)


def disagreement(
    converted: Probabilities,
    expected: Probabilities,
    tolerance: float,
    unfolded: Callable[[], Probabilities] | None = None,
) -> tuple[str, str] | None:
    """Compare the probabilities of a converted network with the probabilities of the original network.

    Args:
        converted: probabilities of the converted network, float32 [n, classes].
        expected: probabilities of the network with batch normalization folded, float32 [n, classes].
        tolerance: maximum absolute difference between two probabilities.
        unfolded: function that returns the probabilities of the network before folding, float32 [n, classes]. They
            differ from `expected` by rounding errors. The tolerance is raised to four times this difference, but not
            above 1e-4. None: the tolerance is not raised.

    Returns:
        None if the networks agree. Otherwise a text for the expected and a text for the found result: a probability
        differs by more than the tolerance, is not a number, or an image has another top-1 class (ties excepted).
    """
    difference = float(np.abs(converted - expected).max())
    allowed = _allowed(difference, expected, tolerance, unfolded)
    # Not `difference > allowed`, which is false when a probability is not a number.
    if not difference <= allowed:
        return f"probabilities within {allowed:.0e}", f"a largest difference of {difference:.2g}"
    other = converted.argmax(axis=1) != expected.argmax(axis=1)
    if (_margins(expected)[other] > 2 * allowed).any():
        return "the same class for each image", f"another for {other.sum()} of {len(converted)}"
    return None


def _allowed(
    difference: float, expected: Probabilities, tolerance: float, unfolded: Callable[[], Probabilities] | None
) -> float:
    """Return the tolerance, raised if rounding errors explain more; measured only if the tolerance is exceeded."""
    if difference <= tolerance or tolerance >= _MAX_TOLERANCE or unfolded is None:
        return tolerance
    rounding = float(np.abs(unfolded() - expected).max())
    return max(tolerance, min(_MAX_TOLERANCE, _ROUNDING_FACTOR * rounding))


def _margins(probabilities: Probabilities) -> Probabilities:
    """Return the difference between the two highest probabilities of each image, float32 [n]."""
    ascending = np.sort(probabilities, axis=1)
    margins: Probabilities = ascending[:, -1] - ascending[:, -2]
    return margins
