"""The promise of `saccade label` on fixed heaps, and three wrong methods that the same simulation rejects.

    python benchmarks/labeling_promise.py [--draws 10000]

A heap is fixed: images, a person's answers, and a model's labels in an order from the most certain one. Only the sample
is drawn again. The promise is broken where more than E = 5% of the heap have a wrong label at the end.

- "tight": E + 1 + c wrong labels, which the sample hardly detects, most of them among the uncertain images. The error
  lies just above the limit at the threshold: the worst case of the proof in docs/labeling.md.
- "random uncertainties": 15% wrong labels in a random order.
- "overconfident": 15% wrong labels, which are the most certain ones.

The first attempt may break the promise with a probability of 2.5%. The program fails where the number of broken
promises would have a probability below 1 in 10,000, or where it is below 1% on the tight heap: a method that never
breaks the promise wastes answers. It also fails where one of three wrong methods, which claim 5%, passes the test:

- Clopper-Pearson's upper bound of 95% is watched after every ten answers, and the labels stand once it is low enough;
- the answers of the sample also fit the model, whose labels are then compared with these answers;
- the error in the sample is taken as the error of the heap, without a bound.

The second one needs a model: a logistic regression on made images of two classes with more features than answers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from processes import at_least_one, run_program
from results import Result, add_results_option, keep_results
from scipy.stats import beta, binom

from saccade.labeling.promise import Promise, allowed_mistakes, kept_labels

_MAX_ERROR = 0.05
_CLAIMED = 0.05  # largest probability of a broken promise that is claimed for the wrong methods
_TEST = 1e-4
_LEAST_BROKEN = 0.01
_FEATURES = 500

Wrong = NDArray[np.bool_]
Method = Callable[[NDArray[np.int64]], int]
"""Function of the positions of a sample, int64 [n], to the number of wrong labels that remain."""


@dataclass(frozen=True)
class Case:
    """A method on a fixed heap.

    Attributes:
        name: name of the heap or of the method.
        method: the method.
        heap: number of images of the heap.
        left: number of images from which the sample is drawn.
        sample: number of images of the sample.
        risk: largest probability of a broken promise that is claimed.
    """

    name: str
    method: Method
    heap: int
    left: int
    sample: int
    risk: float

    def broken(self, draws: int, seed: int = 0) -> int:
        """Return the number of broken promises of some draws."""
        rng, allowed = np.random.default_rng(seed), Promise(_MAX_ERROR).allowed(self.heap)
        return sum(self.method(rng.permutation(self.left)[: self.sample]) > allowed for _ in range(draws))


def main() -> None:
    """Count the broken promises of each method, print and save them."""
    parser = argparse.ArgumentParser(description="Broken promises of saccade label, and of wrong methods.")
    parser.add_argument("--draws", type=at_least_one, default=10_000, help="number of samples of each heap")
    add_results_option(parser)
    options = parser.parse_args()
    failed, results = [], []
    for case, is_valid in [*((case, True) for case in _valid()), *((case, False) for case in _wrong())]:
        draws = options.draws if is_valid else min(1000, options.draws)
        broken = case.broken(draws)
        passes = broken <= binom.isf(_TEST, draws, case.risk)
        if passes != is_valid or (case.name == "tight" and broken < _LEAST_BROKEN * draws):
            failed.append(case.name)
        note = f"{broken} of {draws:,}, {case.risk:.1%} claimed: {'passes' if passes else 'is rejected'}"
        results.append(Result(case.name, "broken promises", "fraction", [broken / draws], note))
    keep_results("labeling_promise", results, options.results)
    if failed:
        sys.exit(f"error: not as expected: {', '.join(failed)}")


def _valid() -> list[Case]:
    """Return the promise on each heap: 2,000 of 3,000 images are left, and 300 of them are the sample."""
    heap, left, sample, rng = 3000, 2000, 300, np.random.default_rng(1)
    promise = Promise(_MAX_ERROR)
    hardly = promise.allowed(heap) + 1 + allowed_mistakes(promise, heap=heap, left=left, sample=sample)
    uncertain = np.arange(1, left + 1) ** 2 / (np.arange(1, left + 1) ** 2).sum()
    tight = np.isin(np.arange(left), rng.choice(left, hardly, replace=False, p=uncertain))
    random = rng.random(left) < 0.15 * heap / left
    orders = {"tight": tight, "random uncertainties": random, "overconfident": np.sort(random)[::-1].copy()}
    return [
        Case(name, _exact(promise, wrong, heap), heap, left, sample, promise.alpha) for name, wrong in orders.items()
    ]


def _wrong() -> list[Case]:
    """Return the wrong methods, on 20,000 images with 5.2% wrong labels or on made images."""
    heap, sample = 20_000, 600
    rng = np.random.default_rng(2)
    wrong = np.isin(np.arange(heap), rng.permutation(heap)[: int(1.04 * _MAX_ERROR * heap)])
    images = MadeImages.draw(rng)
    return [
        Case("Clopper-Pearson watched", _watched(wrong, sample), heap, heap, sample, _CLAIMED),
        Case("promise answers also train", images.trained_with_sample, images.heap, images.left, 300, _CLAIMED),
        Case("plug-in estimate", _plug_in(wrong), heap, heap, sample, _CLAIMED),
    ]


def _remaining(wrong: Wrong, positions: NDArray[np.int64], first: int) -> int:
    """Return the number of wrong labels among the first images of the order, apart from the sample."""
    return int(wrong[:first].sum() - wrong[positions[positions < first]].sum())


def _exact(promise: Promise, wrong: Wrong, heap: int) -> Method:
    def method(positions: NDArray[np.int64]) -> int:
        kept = kept_labels(promise, heap=heap, left=len(wrong), positions=positions, wrong=wrong[positions])
        return _remaining(wrong, positions, kept.first)

    return method


def _plug_in(wrong: Wrong) -> Method:
    """Return the method that takes the error in the sample as the error of the heap."""

    def method(positions: NDArray[np.int64]) -> int:
        in_order = np.sort(positions)
        above = np.flatnonzero(np.cumsum(wrong[in_order]) > _MAX_ERROR * len(in_order))
        return _remaining(wrong, positions, int(in_order[above[0]]) if len(above) else len(wrong))

    return method


def _watched(wrong: Wrong, sample: int, every: int = 10) -> Method:
    """Return the method that looks at Clopper-Pearson's bound after every ten answers, and stops once it is low.

    Then all labels of the model stand; a person labels all images where the bound stays too high.
    """
    looks = np.arange(every, sample + 1, every)
    most = [
        max((k for k in range(n) if beta.ppf(1 - _CLAIMED, k + 1, n - k) <= _MAX_ERROR), default=-1)
        for n in looks.tolist()
    ]

    def method(positions: NDArray[np.int64]) -> int:
        enough = np.flatnonzero(np.cumsum(wrong[positions])[looks - 1] <= most)
        return _remaining(wrong, positions[: looks[enough[0]]], len(wrong)) if len(enough) else 0

    return method


@dataclass(frozen=True, eq=False)
class MadeImages:
    """Made images of two classes, normal with different means, of which a person labeled some before.

    Attributes:
        features: features of all images, float64 [N, d].
        classes: class of each image, 0 or 1, int64 [N].
        before: number of images at the beginning that were labeled before.
    """

    features: NDArray[np.float64]
    classes: NDArray[np.int64]
    before: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> MadeImages:
        """Draw 2,000 images, of which 100 were labeled before. A model of 400 answers has about 8% wrong labels."""
        classes = rng.integers(2, size=2000)
        features = rng.normal(size=(2000, _FEATURES))
        features[:, 0] += 1.7 * (2 * classes - 1)
        return cls(features, classes, 100)

    @property
    def heap(self) -> int:
        """Number of images."""
        return len(self.classes)

    @property
    def left(self) -> int:
        """Number of images without a label before."""
        return self.heap - self.before

    def trained_with_sample(self, positions: NDArray[np.int64]) -> int:
        """Fit the model to the sample too, and then compare its labels with the answers of this sample."""
        from sklearn.linear_model import LogisticRegression

        answered = np.concatenate([np.arange(self.before), self.before + positions])
        model = LogisticRegression(C=100).fit(self.features[answered], self.classes[answered])
        probabilities = model.predict_proba(self.features[self.before :])
        order = np.argsort(-probabilities.max(axis=1), kind="stable")
        wrong = (probabilities.argmax(axis=1) != self.classes[self.before :])[order]
        ranks = np.flatnonzero(np.isin(order, positions))
        promise = Promise(_MAX_ERROR, 1 - 2 * _CLAIMED)
        return _exact(promise, wrong, self.heap)(ranks)


if __name__ == "__main__":
    run_program(main)
