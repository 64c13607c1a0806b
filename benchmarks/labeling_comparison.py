"""`saccade label` beside the method of its source, and beside asking at random, where the true labels play the person.

    python benchmarks/labeling_comparison.py DATA... [--trajectories 5] [--images 10000]

All promise that at most 5% of the labels are wrong, with a confidence of 95%; `label` uses half of this risk for its
first attempt, the others use all of it. Features and head are those of `label`.

- `label`: answers of the learning, the sample and the images after the threshold: median of 200 samples.
- "paper": E. Candès, A. Ilyas, T. Zrnic, "Probably approximately correct labels", arXiv 2506.10908 (2025). The head is
  fitted to random images, half as many as `label` asked in all (T). A calibration sample of the others is drawn with
  replacement. The model's labels stand up to the first uncertainty at which the upper bound of the error of the labels
  that would stand exceeds the limit; a person labels the rest. The bound is the betting bound of I. Waudby-Smith and A.
  Ramdas, "Estimating means of bounded random variables by betting" (2024). The sample has T/8, T/4 or T/2 draws; the
  best one counts, chosen in hindsight. The other figure is the upper bound of the error with T answers in all: the most
  uncertain images are asked with those that remain after fitting and sample.
- "random": n random images, of which one half fits the head and the other half is the sample; all other images have
  labels by the model. The exact hypergeometric bound must hold. The smallest such n counts, in hindsight.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from processes import at_least_one, run_program
from results import Result, add_results_option, keep_results

from labeling import add_images_option, part, trajectory
from saccade.labeling.embeddings import embed
from saccade.labeling.label import Goal
from saccade.labeling.learning import learn, reduced
from saccade.labeling.promise import Promise, kept_labels
from saccade.training.transfer_learning.features import Features

_MAX_ERROR = 0.05
_RISK = 0.05
_SHARES = (1 / 8, 1 / 4, 1 / 2)  # draws of the calibration sample, as fractions of the answers of `label`
_STEP = 0.02  # fraction of the heap between two numbers of random answers
_DRAWS = 20  # calibration samples of each head
_LARGEST_BET = 0.75


def main() -> None:
    """Compare the methods on each set, print and save the results."""
    parser = argparse.ArgumentParser(description="saccade label, the method of its source, and random questions.")
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="folders of class folders")
    parser.add_argument("--trajectories", type=at_least_one, default=5, help="number of seeds")
    add_images_option(parser)
    add_results_option(parser)
    options = parser.parse_args()
    for path in options.data:
        with part(path, options.images) as heap:
            results = list(_compared(path.name, heap, options.trajectories))
        keep_results("labeling_comparison", results, options.results)


def _compared(name: str, heap: Path, seeds: int) -> Iterator[Result]:
    embeddings = embed(heap)
    labels = np.unique(np.array(embeddings.labels), return_inverse=True)[1].astype(np.int64)
    found: dict[str, list[float]] = {"label": [], "paper": [], "random": []}
    bounds = []
    for seed in range(seeds):
        asked = float(np.median(trajectory(heap, Goal(_MAX_ERROR, seed=seed), 200, 0).asked))
        components, rng = reduced(embeddings.features, seed=seed), np.random.default_rng(seed)
        by_paper, bound = _paper(components, labels, round(asked * len(labels)), rng)
        bounds.append(bound)
        for method, value in (("label", asked), ("paper", by_paper), ("random", _random(components, labels, rng))):
            found[method].append(value)
    for method, values in found.items():
        yield Result(f"{name}, {method}", "asked", "fraction", values)
    yield Result(f"{name}, paper", "upper bound of the error with as many answers as label", "fraction", bounds)


def _frozen(components: Features, labels: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Fit a head, and return whether the labels of the other images are wrong, from the most certain one."""
    classes, numbers = np.unique(labels[asked], return_inverse=True)
    model_labels = learn(components, asked, numbers.astype(np.int64), classes=len(classes))
    left = np.setdiff1d(np.arange(len(labels)), asked)
    order = left[np.argsort(model_labels.probability_wrong[left], kind="stable")]
    return np.asarray(classes[model_labels.labels[order]] != labels[order])


def _paper(
    components: Features, labels: NDArray[np.int64], total: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the fraction of the heap that the method of the paper asks, and its bound with `total` answers."""
    heap, fitted = len(labels), total // 2
    wrong = _frozen(components, labels, rng.permutation(heap)[:fitted])
    left = len(wrong)
    asked, bounds = [], []
    for share in _SHARES:
        for_share, bound_of_share = [], []
        for _ in range(_DRAWS):
            sample = rng.integers(left, size=round(share * total))
            distinct = np.unique(sample)
            first = _first_standing(wrong, sample, _MAX_ERROR * heap / left)
            for_share.append((fitted + left - first + int((distinct < first).sum())) / heap)
            # The images that `total` answers leave to the model: the first `first` apart from the sample.
            unasked = np.setdiff1d(np.arange(left), distinct)[: heap - total]
            losses = wrong[sample] & (sample <= unasked[-1])
            bound_of_share.append(_upper_bound(losses) * left / heap)
        asked.append(float(np.median(for_share)))
        bounds.append(float(np.median(bound_of_share)))
    return min(asked), min(bounds)


def _first_standing(wrong: NDArray[np.bool_], sample: NDArray[np.int64], limit: float) -> int:
    """Return the number of images before the first position at which the bound of the error exceeds the limit."""
    for position in [-1, *np.unique(sample[wrong[sample]]).tolist()]:
        if not _is_below(wrong[sample] & (sample <= position), limit):
            return max(int(position), 0)
    return len(wrong)


def _is_below(losses: NDArray[np.bool_], mean: float) -> bool:
    """Return whether the betting bound of the mean of losses, drawn with replacement, is below a value.

    The capital of bets against a mean of at least this value reaches 1 / risk with a probability of at most the risk.
    """
    n = len(losses)
    counts = np.arange(1, n + 1)
    means = (np.cumsum(losses) + 0.5) / (counts + 1)
    variances = (np.cumsum((losses - means) ** 2) + 0.25) / (counts + 1)
    before = np.concatenate([[0.25], variances[:-1]])  # a bet depends on the losses before it
    bets = np.minimum(np.sqrt(2 * np.log(1 / _RISK) / (n * before)), _LARGEST_BET / max(1 - mean, 1e-9))
    return bool(np.cumsum(np.log1p(-bets * (losses - mean))).max() >= np.log(1 / _RISK))


def _upper_bound(losses: NDArray[np.bool_]) -> float:
    """Return the betting bound of the mean of losses, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if _is_below(losses, middle) else (middle, high)
    return high


def _random(components: Features, labels: NDArray[np.int64], rng: np.random.Generator) -> float:
    """Return the fraction of the heap that must be asked at random until the bound holds."""
    heap, order = len(labels), rng.permutation(len(labels))
    promise = Promise(_MAX_ERROR, 1 - 2 * _RISK)  # a first attempt has half of the risk
    for answers in np.unique(np.rint(np.arange(_STEP, 1, _STEP) * heap).astype(int)):
        asked = order[: answers // 2]
        if len(np.unique(labels[asked])) < 2:
            continue
        wrong = _frozen(components, labels, asked)
        sample = rng.permutation(len(wrong))[: answers - len(asked)]
        kept = kept_labels(promise, heap=heap, left=len(wrong), positions=sample, wrong=wrong[sample])
        if kept.first == len(wrong):
            return float(answers / heap)
    return 1.0


if __name__ == "__main__":
    run_program(main)
