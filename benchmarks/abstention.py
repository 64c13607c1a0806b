"""How often a promise of `--abstain` is false, and what it costs in coverage: simulated answers whose truth is known.

    python benchmarks/abstention.py [--draws 10000]

An answer is right with the accuracy of its row. Its score is normal, of spread 1, and of correct predictions further
up, so that right and wrong ones are ranked with the AUC of the row; an AUC of 0.5 means that confidence tells nothing.
In each draw a threshold is found on n images, by Saccade and, for comparison, as the lowest of all thresholds that pass
the same test. A promise is false if the true accuracy of the answers from the threshold up, which the formula of the
normal distribution gives, is below the target: at most 5% of the promises may be. Coverage is the mean true part of
images that are answered, 0 where nothing is promised, as a part of that of the best threshold.
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
_FURTHEST = 8.0


@dataclass(frozen=True)
class Case:
    """Answers of a kind, and what is promised of them.

    Attributes:
        n: images on which the threshold is found.
        accuracy: part of the predictions that are correct, 0 to 1.
        auc: how well confidence ranks correct predictions above wrong ones, 0.5 to 1.
        target: part of the answers from the threshold up that is promised to be right.
    """

    n: int
    accuracy: float
    auc: float
    target: float

    def __str__(self) -> str:
        return f"n = {self.n}, accuracy {self.accuracy:g}, AUC {self.auc:g}, target {self.target:g}"

    def draw(self, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Confidences, float32 [n], and whether each prediction is incorrect, bool [n]."""
        correct = random.random(self.n) < self.accuracy
        return norm.cdf(random.normal(size=self.n) + self._apart * correct).astype(np.float32), ~correct

    def kept(self, score: float) -> tuple[float, float]:
        """Of all answers the part from a score up, and of these the part that is right."""
        correct = self.accuracy * norm.sf(score - self._apart)
        every = correct + (1 - self.accuracy) * norm.sf(score)
        return float(every), float(correct / every)

    def best_coverage(self) -> float:
        """The part of the images that the lowest threshold which keeps the target answers; 0 if none does."""
        if self.kept(-_FURTHEST)[1] >= self.target:
            return 1.0
        if self.kept(_FURTHEST)[1] < self.target:
            return 0.0
        return self.kept(brentq(lambda score: self.kept(score)[1] - self.target, -_FURTHEST, _FURTHEST))[0]

    @property
    def _apart(self) -> float:
        return float(2**0.5 * norm.ppf(self.auc))


CASES = tuple(
    case
    for target, poor in ((0.9, 0.85), (0.95, 0.9))
    for case in (
        *(Case(n, 0.85, 0.9, target) for n in (200, 500, 2000)),
        Case(500, poor, 0.6, target),
        Case(500, round(target - 0.01, 2), 0.6, target),
        Case(500, round(target - 0.01, 2), 0.5, target),
    )
)


def by_saccade(confidences: NDArray[np.float32], incorrect: NDArray[np.bool_], target: float) -> float | None:
    """What `--abstain` goes by; None where it promises nothing."""
    try:
        return find_threshold(confidences, incorrect, target).threshold
    except RunError:
        return None


def lowest_of_all(confidences: NDArray[np.float32], incorrect: NDArray[np.bool_], target: float) -> float | None:
    """The lowest threshold that passes a test which is exact for a single one; None where there is none."""
    order = np.argsort(-confidences)
    errors = incorrect[order].cumsum()
    passed = np.flatnonzero(binom.cdf(errors, np.arange(1, len(order) + 1), 1 - target) <= _LEVEL)
    return float(confidences[order][passed[-1]]) if len(passed) else None


METHODS: dict[str, Method] = {"saccade": by_saccade, "lowest of all": lowest_of_all}


def measure(case: Case, method: Method, draws: int) -> tuple[float, float, float]:
    """The parts of the draws in which a promise is made, and is false; and the mean coverage."""
    random = np.random.default_rng(0)
    found = [method(*case.draw(random), case.target) for _ in range(draws)]
    kept = [case.kept(float(norm.ppf(each))) for each in found if each is not None]
    false = sum(accuracy < case.target for _, accuracy in kept)
    return len(kept) / draws, false / draws, sum(coverage for coverage, _ in kept) / draws


def main() -> None:
    """Measures, prints and keeps."""
    parser = argparse.ArgumentParser(description="Simulates how often promises of --abstain are false.")
    parser.add_argument("--draws", type=int, default=10_000)
    add_results_option(parser)
    options = parser.parse_args()
    results = []
    print("| case | method | promised | false promises | coverage, of the best |\n|---|---|---|---|---|")
    for case in CASES:
        best = case.best_coverage()
        for name, method in METHODS.items():
            given, false, coverage = measure(case, method, options.draws)
            part = f"{coverage / best:.1%} of {best:.1%}" if best else "nothing to cover"
            print(f"| {case} | {name} | {given:.1%} | {false:.2%} | {part} |", flush=True)
            note = f"{options.draws} draws"
            results.append(Result(f"{name}, {case}", "false promises", "part", [false], note))
            results.append(Result(f"{name}, {case}", "coverage", "part", [coverage], f"{note}; the best {best:.4f}"))
    keep_results("abstention", results, options.results)


if __name__ == "__main__":
    run_program(main)
