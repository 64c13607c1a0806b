"""Violation rate and coverage of `--abstain`, by simulation of predictions with a known accuracy.

    python benchmarks/abstention.py [--draws 10000]

A prediction is correct with the accuracy of its case. Its score is normally distributed with standard deviation 1; the
mean is higher for correct predictions, so that the scores have the AUC of the case. With an AUC of 0.5 the confidence
has no information. In each draw a threshold is chosen on n images: by Saccade and, for comparison, as the lowest of all
thresholds that pass the same test. The target is violated if the true accuracy of the predictions at or above the
threshold, computed from the normal distribution, is below the target accuracy. At most 5% of the draws may violate it.
Coverage is the mean true fraction of predicted images, 0 in a draw without a threshold. It is printed relative to the
coverage of the best threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from processes import run_program
from results import Result, add_results_option, keep_results
from scipy.optimize import brentq
from scipy.stats import binom, norm

from saccade.errors import RunError
from saccade.inference.selective_prediction import find_threshold

Method = Callable[[NDArray[np.float32], NDArray[np.bool_], float], float | None]
_LEVEL = 0.05
_MAX_SCORE = 8.0


@dataclass(frozen=True)
class Case:
    """A simulated distribution of predictions, with a target accuracy.

    Attributes:
        n: number of images on which the threshold is chosen.
        accuracy: accuracy of all predictions, 0 to 1.
        auc: area under the ROC curve of confidence as detector of correct predictions, 0.5 to 1.
        target: target accuracy of the predictions at or above the threshold, 0 to 1.
    """

    n: int
    accuracy: float
    auc: float
    target: float

    def __str__(self) -> str:
        return f"n = {self.n}, accuracy {self.accuracy:g}, AUC {self.auc:g}, target {self.target:g}"

    def draw(self, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Sample confidences, float32 [n], and a mask of incorrect predictions, bool [n]."""
        correct = random.random(self.n) < self.accuracy
        return norm.cdf(random.normal(size=self.n) + self._separation * correct).astype(np.float32), ~correct

    def coverage_and_accuracy(self, score: float) -> tuple[float, float]:
        """Return the coverage of a threshold, and the accuracy of the predictions at or above it."""
        correct = self.accuracy * norm.sf(score - self._separation)
        coverage = correct + (1 - self.accuracy) * norm.sf(score)
        return float(coverage), float(correct / coverage)

    def best_coverage(self) -> float:
        """Return the coverage of the lowest threshold that reaches the target accuracy; 0 without such a threshold."""
        if self.coverage_and_accuracy(-_MAX_SCORE)[1] >= self.target:
            return 1.0
        if self.coverage_and_accuracy(_MAX_SCORE)[1] < self.target:
            return 0.0
        return self.coverage_and_accuracy(
            brentq(lambda score: self.coverage_and_accuracy(score)[1] - self.target, -_MAX_SCORE, _MAX_SCORE)
        )[0]

    @property
    def _separation(self) -> float:
        return float(2**0.5 * norm.ppf(self.auc))


CASES = tuple(
    case
    for target, low_accuracy in ((0.9, 0.85), (0.95, 0.9))
    for case in (
        *(Case(n, 0.85, 0.9, target) for n in (200, 500, 2000)),
        Case(500, low_accuracy, 0.6, target),
        Case(500, round(target - 0.01, 2), 0.6, target),
        Case(500, round(target - 0.01, 2), 0.5, target),
    )
)


def by_saccade(confidences: NDArray[np.float32], incorrect: NDArray[np.bool_], target: float) -> float | None:
    """Return the threshold of `--abstain`; None if no threshold is guaranteed."""
    try:
        return find_threshold(confidences, incorrect, target).threshold
    except RunError:
        return None


def lowest_of_all(confidences: NDArray[np.float32], incorrect: NDArray[np.bool_], target: float) -> float | None:
    """Return the lowest threshold that passes an exact binomial test for a single threshold; None without one."""
    order = np.argsort(-confidences)
    errors = incorrect[order].cumsum()
    passed = np.flatnonzero(binom.cdf(errors, np.arange(1, len(order) + 1), 1 - target) <= _LEVEL)
    return float(confidences[order][passed[-1]]) if len(passed) else None


METHODS: dict[str, Method] = {"saccade": by_saccade, "lowest of all": lowest_of_all}


def measure(case: Case, method: Method, draws: int) -> tuple[float, float, float]:
    """Return the fraction of draws with a threshold, the fraction that violates the target, and the mean coverage."""
    random = np.random.default_rng(0)
    thresholds = [method(*case.draw(random), case.target) for _ in range(draws)]
    outcomes = [case.coverage_and_accuracy(float(norm.ppf(each))) for each in thresholds if each is not None]
    violations = sum(accuracy < case.target for _, accuracy in outcomes)
    return len(outcomes) / draws, violations / draws, sum(coverage for coverage, _ in outcomes) / draws


def main() -> None:
    """Simulate, print and save the results."""
    parser = argparse.ArgumentParser(description="Simulates the violation rate of --abstain.")
    parser.add_argument("--draws", type=int, default=10_000)
    add_results_option(parser)
    options = parser.parse_args()
    results = []
    print("| case | method | threshold found | violation rate | coverage, of the best |\n|---|---|---|---|---|")
    for case in CASES:
        best = case.best_coverage()
        for name, method in METHODS.items():
            found, violated, coverage = measure(case, method, options.draws)
            relative = f"{coverage / best:.1%} of {best:.1%}" if best else "nothing to cover"
            print(f"| {case} | {name} | {found:.1%} | {violated:.2%} | {relative} |", flush=True)
            note = f"{options.draws} draws"
            results.append(Result(f"{name}, {case}", "violation rate", "fraction", [violated], note))
            results.append(Result(f"{name}, {case}", "coverage", "fraction", [coverage], f"{note}; best {best:.4f}"))
    keep_results("abstention", results, options.results)


if __name__ == "__main__":
    run_program(main)
