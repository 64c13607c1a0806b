"""Confidence interval of a proportion, without the libraries that the other metrics need."""

from __future__ import annotations

import math


def wilson_interval(correct: float, n: float) -> tuple[float, float]:
    """Compute the 95% Wilson score interval of a proportion.

    The interval is inside [0, 1] and is valid for small n.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Args:
        correct: number of successes, 0 to n.
        n: number of trials, greater than 0; the effective number, not always whole, if the trials are dependent.

    Returns:
        Lower and upper end of the interval.
    """
    z = 1.959963984540054  # the 97.5% point of the normal distribution
    p = correct / n
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # The exact ends are 0 for 0 successes and 1 for n successes; the formula has rounding errors there.
    return (0.0 if correct == 0 else center - half), (1.0 if correct == n else center + half)
