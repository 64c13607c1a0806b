"""`saccade estimate`: coverage and width of its intervals, by simulation on the predictions of real runs.

    python benchmarks/estimate.py RUN... [--estimates 1000] [--images 2000] [--ask 200]

RUN are evaluated runs, whose confidences and errors on the test split are used. For each estimate a heap of images is
drawn from them with replacement, so that the true accuracy of the heap is known, then a sample is drawn and the
interval is computed. The cases:

- no shift: the heap has the run's own errors.
- 5 and 15 points, as confidence: each prediction of the heap is correct with its confidence, whose log-odds are lowered
  by one number, so that the accuracy is 5 or 15 points below the mean confidence.
- 5 and 15 points, anywhere: correct with the confidence, less the errors that make up 5 or 15 points and that hit any
  image with the same probability.
- 15 points, no information: each prediction is correct with the same probability, whatever the confidence is.

The methods: `saccade`; a uniform random sample of as many images with the exact interval of the hypergeometric
distribution, which is what `saccade` becomes with one stratum; and active inference as published (T. Zrnic, E. J.
Candès, arXiv 2403.03208, 2024): independent draws with probabilities proportional to sqrt(r (1 - r)), mixed half and
half with uniform ones, the weighted mean with power tuning, and a normal interval.

With a ratio of the mean widths, a uniform sample would need n / ratio^2 answers for intervals of the same width, so
that the fraction 1 - ratio^2 of its answers is saved. The program fails where an interval of `saccade` covers so rarely
that the count has a probability below 1 in 10,000 at 95%, or where it is more than 10% wider than that of a uniform
sample.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from processes import at_least_one, run_program
from results import Result, add_results_option, keep_results
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import binom

from saccade.labeling.stratified_sample import Interval, choose_strata, interval_of_wrong
from saccade.runs.run import Run

_CONFIDENCE = 0.95
_LARGEST_RATIO = 1.1
_UNIFORM = 0.5  # share of uniform draws in active inference
_MIN_ANSWERS = 20  # of a predicted class, as for the precisions of `saccade estimate`
_EACH = 10  # of the estimates with precisions of predicted classes
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Heap:
    """Images of a simulated heap.

    Attributes:
        doubt: 1 - confidence of each prediction, float64 [N].
        wrong: mask of incorrect predictions, bool [N].
        predicted: predicted class of each image, int64 [N].
    """

    doubt: Floats
    wrong: NDArray[np.bool_]
    predicted: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Source:
    """Predictions of a run for its test split; attributes as for `Heap`."""

    doubt: Floats
    wrong: NDArray[np.bool_]
    predicted: NDArray[np.int64]

    @classmethod
    def of(cls, run: Run) -> Source:
        """Read the predictions of the last evaluation of a run."""
        predictions = run.predictions("predictions.safetensors")
        probabilities = predictions.probabilities.astype(np.float64)
        predicted = probabilities.argmax(axis=1)
        return cls(np.clip(1 - probabilities.max(axis=1), 0, 1), predicted != predictions.labels, predicted)

    def heap(self, images: int, rng: np.random.Generator, shift: Callable[[Floats], Floats] | None) -> Heap:
        """Draw a heap with replacement, with the errors of the run, or with those of a shift of the confidences."""
        rows = rng.integers(0, len(self.doubt), images)
        doubt = self.doubt[rows]
        wrong = self.wrong[rows] if shift is None else rng.random(images) < shift(doubt)
        return Heap(doubt, wrong, self.predicted[rows])


def lowered(points: float) -> Callable[[Floats], Floats]:
    """Return the shift that raises the log-odds of an error, so that the accuracy falls by a fraction."""

    def shift(doubt: Floats) -> Floats:
        odds = logit(np.clip(doubt, 1e-9, 1 - 1e-9))
        target = min(0.99, float(doubt.mean()) + points)
        return np.asarray(expit(odds + brentq(lambda added: float(expit(odds + added).mean()) - target, -5, 30)))

    return shift


def anywhere(points: float) -> Callable[[Floats], Floats]:
    """Return the shift that adds errors to any correct prediction with the same probability."""
    return lambda doubt: doubt + (1 - doubt) * points / float((1 - doubt).mean())


def without_information(points: float) -> Callable[[Floats], Floats]:
    """Return the shift to the same probability of an error for all images."""
    return lambda doubt: np.full_like(doubt, float(doubt.mean()) + points)


CASES: dict[str, Callable[[Floats], Floats] | None] = {
    "no shift": None,
    "5 points, as confidence": lowered(0.05),
    "15 points, as confidence": lowered(0.15),
    "5 points, anywhere": anywhere(0.05),
    "15 points, anywhere": anywhere(0.15),
    "15 points, no information": without_information(0.15),
}


@cache
def _exact_interval(images: int, ask: int, wrong: int) -> Interval:
    return interval_of_wrong(np.array([images]), np.array([ask]), np.array([wrong]), _CONFIDENCE)


def by_uniform_sample(heap: Heap, ask: int, rng: np.random.Generator) -> Interval:
    """Return the exact interval of a uniform sample."""
    drawn = rng.choice(len(heap.wrong), ask, replace=False)
    return _exact_interval(len(heap.wrong), ask, int(heap.wrong[drawn].sum()))


def by_active_inference(heap: Heap, ask: int, rng: np.random.Generator) -> Interval:
    """Return the normal interval of active inference with power tuning."""
    deviation = np.sqrt(heap.doubt * (1 - heap.doubt))
    mixed = _UNIFORM + (1 - _UNIFORM) * deviation / deviation.mean()
    probability = np.minimum(1, mixed * ask / len(mixed))
    drawn = rng.random(len(mixed)) < probability
    weight = (1 - probability[drawn]) / probability[drawn] ** 2
    found, expected = heap.wrong[drawn].astype(np.float64), heap.doubt[drawn]
    power = float((weight * found * expected).sum() / (weight * expected**2).sum())
    rest = found - power * expected
    estimate = power * float(heap.doubt.mean()) + float((rest / probability[drawn]).sum()) / len(mixed)
    half = 1.959964 * float(np.sqrt((weight * rest**2).sum())) / len(mixed)
    return Interval(estimate, estimate - half, estimate + half)


@dataclass(frozen=True, eq=False)
class Measured:
    """Intervals of the estimates of a case.

    Attributes:
        covered: by method, whether each interval covers the truth.
        widths: by method, width of each interval.
        classes: whether each interval of the precision of a predicted class covers the truth.
    """

    covered: dict[str, list[bool]]
    widths: dict[str, list[float]]
    classes: list[bool]


def measure(
    source: Source, shift: Callable[[Floats], Floats] | None, *, images: int, ask: int, estimates: int
) -> Measured:
    """Draw heaps and samples of a case, and return what their intervals cover."""
    rng = np.random.default_rng(0)
    measured = Measured({}, {}, [])
    for number in range(estimates):
        heap = source.heap(images, rng, shift)
        strata = choose_strata(heap.doubt, ask)
        drawn = strata.draw(rng)
        count = len(strata.sizes)

        def by_saccade(chosen: NDArray[np.bool_]) -> Interval:
            """Return the interval of the images of a mask."""
            asked = drawn[chosen[drawn]]  # noqa: B023 - called in this pass of the loop
            sizes, samples, wrong = (
                np.bincount(strata.stratum[those], minlength=count)  # noqa: B023
                for those in (np.flatnonzero(chosen), asked, asked[heap.wrong[asked]])  # noqa: B023
            )
            there = sizes > 0
            return interval_of_wrong(sizes[there], samples[there], wrong[there], _CONFIDENCE)

        found = {
            "saccade": by_saccade(np.ones(images, bool)),
            "uniform sample": by_uniform_sample(heap, ask, rng),
            "active inference": by_active_inference(heap, ask, rng),
        }
        for name, interval in found.items():
            measured.covered.setdefault(name, []).append(_covers(interval, float(heap.wrong.mean())))
            measured.widths.setdefault(name, []).append(interval.high - interval.low)
        if number % _EACH == 0:
            measured.classes.extend(
                _covers(by_saccade(heap.predicted == label), float(heap.wrong[heap.predicted == label].mean()))
                for label in np.unique(heap.predicted).tolist()
                if (heap.predicted[drawn] == label).sum() >= _MIN_ANSWERS
            )
    return measured


def _covers(interval: Interval, truth: float) -> bool:
    return interval.low - 1e-9 <= truth <= interval.high + 1e-9


def _results(subject: str, measured: Measured, ask: int) -> Iterator[Result]:
    uniform = float(np.mean(measured.widths["uniform sample"]))
    for name, covered in measured.covered.items():
        width = float(np.mean(measured.widths[name]))
        yield Result(f"{name}, {subject}", "coverage", "fraction", [float(np.mean(covered))], f"{len(covered)} draws")
        yield Result(
            f"{name}, {subject}", "mean width, of a uniform sample", "ratio", [width / uniform],
            f"{width:.4f} of {uniform:.4f}; {1 - (width / uniform) ** 2:.1%} of a uniform sample's answers saved",
        )  # fmt: skip
    if measured.classes:
        note = f"{len(measured.classes)} intervals of predicted classes with at least {_MIN_ANSWERS} of {ask} answers"
        yield Result(
            f"saccade, {subject}", "coverage of precision", "fraction", [float(np.mean(measured.classes))], note
        )


def problems(measured: Measured) -> Sequence[str]:
    """Return what the intervals of `saccade` miss: the coverage, or the width."""
    covered = measured.covered["saccade"]
    ratio = float(np.mean(measured.widths["saccade"]) / np.mean(measured.widths["uniform sample"]))
    is_rare = sum(covered) < binom.ppf(1e-4, len(covered), _CONFIDENCE)
    missed = [f"coverage {np.mean(covered):.1%}"] if is_rare else []
    return [*missed, f"width {ratio:.2f}"] if ratio > _LARGEST_RATIO else missed


def main() -> None:
    """Simulate the cases on the predictions of each run, print and save the results."""
    parser = argparse.ArgumentParser(description="Coverage and width of the intervals of saccade estimate.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="evaluated runs")
    parser.add_argument("--estimates", type=at_least_one, default=1000, help="number of estimates of each case")
    parser.add_argument("--images", type=at_least_one, default=2000, help="number of images of a heap")
    parser.add_argument("--ask", type=at_least_one, default=200, help="number of answers")
    add_results_option(parser)
    options = parser.parse_args()
    failed = []
    for path in options.runs:
        source = Source.of(Run.open(path))
        for case, shift in CASES.items():
            measured = measure(source, shift, images=options.images, ask=options.ask, estimates=options.estimates)
            subject = f"{path.name}, {case}, {options.ask} of {options.images:,}"
            keep_results("estimate", list(_results(subject, measured, options.ask)), options.results)
            failed += [f"{subject}: {problem}" for problem in problems(measured)]
    if failed:
        sys.exit("error: " + "; ".join(failed))


if __name__ == "__main__":
    run_program(main)
