"""Promise on the error of labels: how many of a model's labels may stand, by a random sample that a person labels.

The heap has N images. Some were labeled by a person before; R images are left, in a frozen order from the most certain
label of the model to the least certain one. A person labels a sample of n of the R images, drawn uniformly without
replacement. The model's labels stand for the first images in the order, up to the image before the (c + 1)-th image of
the sample whose label by the model is wrong; a person labels the images after it, and the images of the sample have
the person's labels. At most E = floor(max_error * N) wrong labels of the model may remain.

The number c is the largest with P(H <= c) <= alpha, where H is hypergeometric: the wrong images in a sample of n of R
images, of which E + 1 + c are wrong. docs/labeling.md has the proof that more than E wrong labels remain with a
probability of at most alpha, whatever the order and the labels are.

Source of the idea: E. Candès, A. Ilyas, T. Zrnic, "Probably approximately correct labels", arXiv 2506.10908 (2025). Its
threshold rule, with the bound for a sample of fixed size made exact for a finite heap, and with the corrections of the
sample counted.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc
from scipy.stats import hypergeom


@dataclass(frozen=True)
class Promise:
    """Largest error that is promised, and the confidence.

    Attributes:
        max_error: largest fraction of wrong labels, 0 to 1.
        confidence: probability with which the fraction is not exceeded, 0 to 1.
        attempt: number of the attempt, from 1. Attempt k has the share (1 - confidence) / 2^k of the risk.
    """

    max_error: float = 0.05
    confidence: float = 0.95
    attempt: int = 1

    @property
    def alpha(self) -> float:
        """Largest probability that this attempt breaks the promise."""
        return float((1 - self.confidence) / 2**self.attempt)

    def allowed(self, heap: int) -> int:
        """Return the largest number of wrong labels in a heap of a number of images."""
        return int(np.floor(self.max_error * heap + 1e-9))


def allowed_mistakes(promise: Promise, *, heap: int, left: int, sample: int) -> int:
    """Return c, the largest number of wrong images of the sample before which the model's labels stand; -1 for none.

    Args:
        promise: the promise.
        heap: number of images of the heap, N.
        left: number of images that were not labeled by a person before the sample, R.
        sample: number of images of the sample, n, at most R.
    """
    return _allowed_mistakes(promise.allowed(heap), left, sample, promise.alpha)


@functools.lru_cache(maxsize=4096)
def _allowed_mistakes(allowed: int, left: int, sample: int, alpha: float) -> int:
    """Return the largest c with a risk of at most alpha, by bisection: the risk grows with c."""
    if left - sample <= allowed:
        return sample  # even if all images left are wrong, at most E of them remain after the sample
    low, high = -1, min(sample, left - allowed - 1)
    while low < high:
        middle = (low + high + 1) // 2
        # The wrong images in a sample of n of R images, of which E + 1 + c are wrong.
        if hypergeom.cdf(middle, left, allowed + 1 + middle, sample) <= alpha:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True, eq=False)
class Kept:
    """Labels of a model that stand.

    Attributes:
        first: number of images at the beginning of the order whose labels by the model stand, apart from the sample.
        allowed: the number c of wrong images of the sample before which they stand.
        found: number of wrong images of the sample among these first images.
    """

    first: int
    allowed: int
    found: int


def kept_labels(
    promise: Promise, *, heap: int, left: int, positions: NDArray[np.int64], wrong: NDArray[np.bool_]
) -> Kept:
    """Return how many labels of a model stand after a person labeled the sample.

    Args:
        promise: the promise.
        heap: number of images of the heap, N.
        left: number of images in the frozen order, R.
        positions: position of each image of the sample in the frozen order, int64 [n].
        wrong: whether the model's label of each image of the sample differs from the person's label, bool [n].
    """
    c = allowed_mistakes(promise, heap=heap, left=left, sample=len(positions))
    mistakes = np.sort(positions[wrong])
    if c < 0:
        return Kept(0, c, 0)
    first = int(mistakes[c]) if len(mistakes) > c else left
    return Kept(first, c, int((mistakes < first).sum()))


def expected_answers(promise: Promise, *, heap: int, probability_wrong: NDArray[np.float64], sample: int) -> float:
    """Estimate the number of images that a person labels from now on: the sample, and the images after the threshold.

    This is an estimate, no promise: it takes the probabilities as true, and the number of wrong images of the sample
    among the first images of the order as Poisson distributed.

    Args:
        promise: the promise.
        heap: number of images of the heap, N.
        probability_wrong: estimated probability that the model's label is wrong, in the frozen order, float64 [R].
        sample: number of images of the sample, n.
    """
    left = len(probability_wrong)
    c = allowed_mistakes(promise, heap=heap, left=left, sample=sample)
    if c < 0:
        return float(left)
    # An image is after the threshold if more than c wrong images of the sample are before it.
    after = pdtrc(c, np.cumsum(probability_wrong) * sample / left).sum()
    return float(sample + after * (1 - sample / left))


def smallest_sample(promise: Promise, *, heap: int) -> int:
    """Return the size of the smallest sample of a heap with which any label of a model may stand."""
    low, high = 0, heap
    while low < high:
        middle = (low + high) // 2
        if allowed_mistakes(promise, heap=heap, left=heap, sample=middle) >= 0:
            high = middle
        else:
            low = middle + 1
    return low


def best_sample(promise: Promise, *, heap: int, probability_wrong: NDArray[np.float64]) -> tuple[int, float]:
    """Return the size of the sample with the fewest expected answers, and this number of answers.

    Args:
        promise: the promise.
        heap: number of images of the heap, N.
        probability_wrong: estimated probability that the model's label is wrong, in the frozen order, float64 [R].
    """
    left = len(probability_wrong)
    sizes = np.unique(np.rint(np.geomspace(min(20, max(1, left)), max(1, left), 30)).astype(int))
    answers = [
        expected_answers(promise, heap=heap, probability_wrong=probability_wrong, sample=int(size)) for size in sizes
    ]
    best = int(np.argmin(answers))
    return int(sizes[best]), float(answers[best])
