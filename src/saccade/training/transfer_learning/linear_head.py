"""Linear head: multinomial logistic regression on partly standardized features, by scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Labels = NDArray[np.int64]

# Values of scikit-learn's C, the inverse weight of the L2 penalty, for 1,000 images and partly standardized features;
# from a strong penalty to almost none.
PENALTIES = tuple(10.0**power for power in np.arange(-4, 2.1, 0.5))
# From the strongest to the weakest penalty the log-loss of other images falls and then rises. Weak penalties need the
# most iterations, so they are skipped after this number of consecutive rises.
_MAX_RISES = 2
# Number of multiplications in the product of features and kernel from which several BLAS threads are faster than one.
# Below it, the threads mostly wait for each other: 1,033 images of coins took 27 s of processor time, but 0.2 s with
# one thread.
_MIN_PRODUCTS_FOR_THREADS = 10**8
# Floor of the standard deviations of the features, relative to their root mean square. A feature that hardly varies
# would get a weight of many hundreds, which multiplies noise. On four sets of photographs, floors of 0.3 and 1.0 have a
# lower log-loss than none on each set, and 1 to 3 points more accuracy (docs/performance.md).
_SPREAD_FLOOR = 0.5
_FOLDS = 5
# The penalty where there are not two groups of images, of which one could be held out.
_DEFAULT_PENALTY = 10**-2.0
# Logit of a class without training images.
_ABSENT_LOGIT = -20.0
_SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class LinearHead:
    """Linear head: logits as a linear function of features.

    Attributes:
        kernel: weights, float32 [d, classes].
        bias: offsets, float32 [classes].
        penalty: value of scikit-learn's C for 1,000 images.
    """

    kernel: Features
    bias: NDArray[np.float32]
    penalty: float

    def probabilities(self, features: Features) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes], for features [n, d]."""
        from scipy.special import softmax

        return np.asarray(softmax(features @ self.kernel + self.bias, axis=1), np.float32)


@dataclass(frozen=True)
class Examples:
    """Examples for a logistic regression.

    Attributes:
        features: features, float32 [n, d].
        labels: classes, int64 [n].
        weights: sample weights, float32 [n].
        groups: group of each image, int64 [n]; images of one group, such as duplicates, belong to one fold.
    """

    features: Features
    labels: Labels
    weights: NDArray[np.float32]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, positions: NDArray[np.int64]) -> Examples:
        """Return the examples at the given positions."""
        return Examples(*(column[positions] for column in vars(self).values()))


def choose_penalty(
    training: Examples,
    validation: Examples,
    *,
    classes: int,
    biased: bool,
    seed: int,
    advance: Callable[[int], object],
) -> float:
    """Choose the penalty by the log-loss on validation examples, or in a cross-validation without any.

    The choice is the strongest penalty whose mean log-loss exceeds the smallest mean by at most one standard error of
    the difference, over the same examples: the one-standard-error rule of L. Breiman et al., "Classification and
    regression trees" (1984), section 3.4.3, with the error of the paired difference. Images of one object that differ
    slightly are often in both parts, and make weak penalties look better than they are. The cross-validation has up to
    five folds, stratified by class; images of one group are in one fold.

    Args:
        training: examples to fit.
        validation: examples that choose the penalty; may be empty.
        classes: number of classes.
        biased: whether the head has a bias.
        seed: seed of the folds.
        advance: function that is called with numbers of finished penalties, in total the number of `PENALTIES`.
    """
    pairs = [(training, validation)] if len(validation) else list(_folds(training, seed))
    if not pairs:
        advance(len(PENALTIES))
        return _DEFAULT_PENALTY
    paths = [_path(fitted, classes, biased, PENALTIES) for fitted, _ in pairs]
    losses: list[NDArray[np.float64]] = []
    rises = 0
    for heads in zip(*paths, strict=True):
        losses.append(_log_losses(heads, [held_out for _, held_out in pairs]))
        rises = rises + 1 if len(losses) > 1 and losses[-1].mean() > losses[-2].mean() else 0
        advance(1)
        if rises == _MAX_RISES:
            break
    advance(len(PENALTIES) - len(losses))
    best = min(losses, key=np.mean)
    excesses = (other - best for other in losses)
    is_equal = [excess.mean() <= excess.std() / np.sqrt(len(excess)) for excess in excesses]
    return float(PENALTIES[is_equal.index(True)])


def fit_linear_head(training: Examples, penalty: float, *, classes: int, biased: bool) -> LinearHead:
    """Fit a linear head with a given penalty.

    Args:
        training: examples to fit; their features are standardized in place, to save memory.
        penalty: value of scikit-learn's C for 1,000 images.
        classes: number of classes; classes without examples are never predicted.
        biased: whether the head has a bias.
    """
    return next(_path(training, classes, biased, (penalty,), in_place=True))


def _folds(examples: Examples, seed: int) -> Iterator[tuple[Examples, Examples]]:
    """Yield the training and the held-out examples of each fold; nothing where there are too few images for two."""
    from sklearn.model_selection import StratifiedGroupKFold

    # A class may have fewer images than there are folds, but not every class.
    number = min(_FOLDS, len(np.unique(examples.groups)), int(np.bincount(examples.labels).max()))
    if number < 2:
        return
    splitter = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on a class with fewer images than there are folds
        for fitted, held_out in splitter.split(examples.labels, examples.labels, examples.groups):
            if len(fitted) and len(held_out):
                yield examples.at(fitted), examples.at(held_out)


def _log_losses(heads: Sequence[LinearHead], held_out: Sequence[Examples]) -> NDArray[np.float64]:
    """Return the weighted log-loss of each held-out example by the head of its fold, float64 [n], in nats."""
    losses = []
    for head, examples in zip(heads, held_out, strict=True):
        true_class = head.probabilities(examples.features)[np.arange(len(examples)), examples.labels]
        log_loss = -np.log(np.maximum(true_class.astype(np.float64), _SMALLEST_PROBABILITY))
        losses.append(log_loss * examples.weights / examples.weights.mean())
    return np.concatenate(losses)


def _path(
    examples: Examples, classes: int, biased: bool, penalties: Sequence[float], *, in_place: bool = False
) -> Iterator[LinearHead]:  # fmt: skip
    """Yield the head of each penalty, from the strongest; each fit starts from the previous solution (warm start)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    # Without a bias, the features are not centered, because no offset could compensate for their mean.
    mean = examples.features.mean(axis=0) if biased else np.zeros(examples.features.shape[1], np.float32)
    spread = _spread(examples.features)
    scaled = examples.features if in_place else examples.features.copy()
    scaled -= mean
    scaled /= spread
    present = np.unique(examples.labels)
    if len(present) < 2:
        for penalty in penalties:
            yield _head(np.zeros((scaled.shape[1], len(present))), np.zeros(len(present)), present, classes, penalty)
        return
    regression = LogisticRegression(fit_intercept=biased, max_iter=300, warm_start=True, tol=1e-4)
    threads = None if scaled.size * len(present) >= _MIN_PRODUCTS_FOR_THREADS else 1
    for penalty in penalties:
        # scikit-learn sums the loss over the images, so C is scaled to their number.
        regression.C = penalty * 1000 / len(examples)
        with warnings.catch_warnings(), threadpool_limits(threads, "blas"):
            warnings.simplefilter("ignore", ConvergenceWarning)  # an unconverged fit is a valid candidate
            regression.fit(scaled, examples.labels, sample_weight=examples.weights)
        kernel, bias = regression.coef_.T, np.broadcast_to(regression.intercept_, regression.coef_.shape[0])
        if len(present) == 2:  # scikit-learn gives one column, the log-odds of the second class
            kernel, bias = np.concatenate([-kernel, kernel], axis=1) / 2, np.concatenate([-bias, bias]) / 2
        kernel = kernel / spread[:, None]
        yield _head(kernel, bias - mean @ kernel, present, classes, penalty)


def _spread(features: Features) -> NDArray[np.float32]:
    """Return the divisors of the features, float32 [d]: standard deviations, with a floor."""
    deviations = features.std(axis=0).astype(np.float64)
    floor = _SPREAD_FLOOR * np.sqrt(np.mean(deviations**2))
    return np.asarray(np.sqrt(deviations**2 + floor**2 + 1e-30), np.float32)


def _head(
    kernel: NDArray[np.floating], bias: NDArray[np.floating], present: Labels, classes: int, penalty: float
) -> LinearHead:  # fmt: skip
    """Return a head for all classes from the kernel and bias of the classes with training images."""
    full_kernel = np.zeros((len(kernel), classes), np.float32)
    offsets = np.full(classes, _ABSENT_LOGIT, np.float32)
    full_kernel[:, present], offsets[present] = kernel, bias
    return LinearHead(full_kernel, offsets, penalty)
