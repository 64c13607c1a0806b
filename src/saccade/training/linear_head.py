"""A regularised linear head on fixed features: multinomial logistic regression, as scikit-learn has it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.pipeline.order import generator

Features = NDArray[np.float32]
Labels = NDArray[np.int64]

# scikit-learn's C, the inverse of the penalty's weight, for features of spread 1; from strong to none to speak of.
_PENALTIES = tuple(10.0**power for power in np.arange(-5, 2.1, 0.5))
_HELD_OUT = 0.2
# A class without a picture is as improbable as one logit can say.
_NEVER = -20.0
_SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class LinearHead:
    """Logits as a linear function of features.

    Attributes:
        kernel: float32 [d, classes].
        bias: float32 [classes].
        penalty: the C of scikit-learn that was chosen.
    """

    kernel: Features
    bias: NDArray[np.float32]
    penalty: float

    def probabilities(self, features: Features) -> NDArray[np.float64]:
        """Class probabilities, float64 [n, classes], of features [n, d]."""
        logits = features.astype(np.float64) @ self.kernel + self.bias
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Examples:
    """Pictures by their features.

    Attributes:
        features: float32 [n, d].
        labels: int64 [n].
        weights: float32 [n], how much each counts.
    """

    features: Features
    labels: Labels
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, positions: NDArray[np.int64]) -> Examples:
        """Some of them."""
        return Examples(self.features[positions], self.labels[positions], self.weights[positions])


def fit_linear_head(
    training: Examples, validation: Examples, *, classes: int, biased: bool, seed: int
) -> LinearHead:  # fmt: skip
    """Fits a head with the penalty that has the least log-loss on other pictures.

    Args:
        training: what it is fitted to.
        validation: what the penalty is chosen by; if it is empty, a fifth of the training pictures is held out for
            that, and then given back.
        classes: how many there are.
        biased: whether the head has a bias.
        seed: of what is held out.
    """
    if len(validation):
        candidates = _path(training, classes, biased)
        losses = [(_log_loss(head, validation), head) for head in candidates]
        return min(losses, key=lambda pair: pair[0])[1]
    shuffled = generator(seed, 0, "head penalty").permutation(len(training))
    cut = max(1, round(_HELD_OUT * len(training)))
    rest = shuffled[cut:] if len(training) > cut else shuffled
    chosen = fit_linear_head(
        training.at(rest), training.at(shuffled[:cut]), classes=classes, biased=biased, seed=seed
    ).penalty  # fmt: skip
    return next(head for head in _path(training, classes, biased) if head.penalty >= chosen)


def _log_loss(head: LinearHead, examples: Examples) -> float:
    of_truth = head.probabilities(examples.features)[np.arange(len(examples)), examples.labels]
    return float(-np.average(np.log(np.maximum(of_truth, _SMALLEST_PROBABILITY)), weights=examples.weights))


def _path(examples: Examples, classes: int, biased: bool) -> Iterator[LinearHead]:
    """The heads of all penalties, from the strongest; each begins where the one before it ended."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # Without a bias there is nothing that could take up a mean.
    mean = examples.features.mean(axis=0) if biased else np.zeros(examples.features.shape[1], np.float32)
    spread = examples.features.std(axis=0)
    spread = np.where(spread > 1e-6 * max(float(spread.max()), 1e-30), spread, 1).astype(np.float32)
    scaled = (examples.features - mean) / spread
    present = np.unique(examples.labels)
    if len(present) < 2:
        yield _head(np.zeros((len(scaled[0]), len(present))), np.zeros(len(present)), present, classes, _PENALTIES[0])
        return
    regression = LogisticRegression(fit_intercept=biased, max_iter=300, warm_start=True, tol=1e-4)
    for penalty in _PENALTIES:
        # A larger data term at the same penalty: C counts per picture, so that the range holds for any number of them.
        regression.C = penalty * 1000 / len(examples)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # near enough: others are fitted, and the best chosen
            regression.fit(scaled, examples.labels, sample_weight=examples.weights)
        kernel, bias = regression.coef_.T, np.broadcast_to(regression.intercept_, regression.coef_.shape[0])
        if len(present) == 2:  # one column says how much likelier the second class is
            kernel, bias = np.concatenate([-kernel, kernel], axis=1) / 2, np.concatenate([-bias, bias]) / 2
        kernel = kernel / spread[:, None]
        yield _head(kernel, bias - mean @ kernel, present, classes, penalty)


def _head(
    kernel: NDArray[np.floating], bias: NDArray[np.floating], present: Labels, classes: int, penalty: float
) -> LinearHead:  # fmt: skip
    whole = np.zeros((len(kernel), classes), np.float32)
    offsets = np.full(classes, _NEVER, np.float32)
    whole[:, present], offsets[present] = kernel, bias
    return LinearHead(whole, offsets, penalty)
