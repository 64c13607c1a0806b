"""Linear probe: multinomial logistic regression on the features of a frozen network, by scikit-learn.

The first epoch of transfer learning fits the head of the network in this way.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from saccade.augmentation.rng import make_rng
from saccade.data.dataset import Split, SplitName
from saccade.models.head import body_weights, head_of, set_head, without_head
from saccade.models.weights import assign, named_weights
from saccade.runs.run import Run
from saccade.runs.training_state import TrainingState
from saccade.training.class_weights import balanced_class_weights
from saccade.training.progress import Progress
from saccade.training.transfer_learning.features import FeatureExtractor
from saccade.training.transfer_learning.pretrained import weights_fingerprint

if TYPE_CHECKING:
    import keras

Features = NDArray[np.float32]
Labels = NDArray[np.int64]

# Values of scikit-learn's C, the inverse weight of the L2 penalty, for 1,000 images and standardized features; from a
# strong penalty to almost none.
PENALTIES = tuple(10.0**power for power in np.arange(-5, 2.1, 0.5))
# From the strongest to the weakest penalty the validation loss falls and then rises. Weak penalties need the most
# iterations, so they are skipped after this number of consecutive rises.
_MAX_RISES = 2
# Number of multiplications in the product of features and kernel from which several BLAS threads are faster than one.
# Below it, the threads mostly wait for each other: 1,033 images of coins took 27 s of processor time, but 0.2 s with
# one thread.
_MIN_PRODUCTS_FOR_THREADS = 10**8
_HELD_OUT_FRACTION = 0.2
# Logit of a class without training images.
_ABSENT_LOGIT = -20.0
_SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class LinearHead:
    """Linear head: logits as a linear function of features.

    Attributes:
        kernel: weights, float32 [d, classes].
        bias: offsets, float32 [classes].
        penalty: chosen value of scikit-learn's C.
    """

    kernel: Features
    bias: NDArray[np.float32]
    penalty: float

    def probabilities(self, features: Features) -> NDArray[np.float64]:
        """Return class probabilities, float64 [n, classes], for features [n, d]."""
        return np.asarray(softmax(features.astype(np.float64) @ self.kernel + self.bias, axis=1))


@dataclass(frozen=True)
class Examples:
    """Examples for a logistic regression.

    Attributes:
        features: features, float32 [n, d].
        labels: classes, int64 [n].
        weights: sample weights, float32 [n].
    """

    features: Features
    labels: Labels
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, positions: NDArray[np.int64]) -> Examples:
        """Return the examples at the given positions."""
        return Examples(self.features[positions], self.labels[positions], self.weights[positions])


def fit_linear_head(
    training: Examples,
    validation: Examples,
    *,
    classes: int,
    biased: bool,
    seed: int,
    advance: Callable[[int], object],
) -> LinearHead:
    """Fit a linear head, with the penalty that minimizes the validation log-loss.

    Args:
        training: training examples.
        validation: validation examples. If empty, the penalty is chosen with a fifth of the training examples held
            out, and the head is then fitted to all training examples.
        classes: number of classes.
        biased: whether the head has a bias.
        seed: seed of the choice of the held-out examples.
        advance: function that is called with numbers of finished penalties, in total the number of `PENALTIES`.
    """
    if len(validation):
        return _best(training, validation, classes, biased, advance)
    shuffled = make_rng(seed, 0, "head penalty").permutation(len(training))
    cut = max(1, round(_HELD_OUT_FRACTION * len(training)))
    rest = shuffled[cut:] if len(training) > cut else shuffled
    penalty = _best(training.at(rest), training.at(shuffled[:cut]), classes, biased, advance).penalty
    return next(_path(training, classes, biased, (penalty,)))


def _best(
    training: Examples, validation: Examples, classes: int, biased: bool, advance: Callable[[int], object]
) -> LinearHead:  # fmt: skip
    """Return the head with the lowest validation log-loss; penalties after `_MAX_RISES` rises are skipped."""
    losses: list[tuple[float, LinearHead]] = []
    rises = 0
    for head in _path(training, classes, biased, PENALTIES):
        loss = _log_loss(head, validation)
        rises = rises + 1 if losses and loss > losses[-1][0] else 0
        losses.append((loss, head))
        if rises == _MAX_RISES:
            break
        advance(1)
    advance(len(PENALTIES) - len(losses) + (rises == _MAX_RISES))
    return min(losses, key=lambda pair: pair[0])[1]


def _log_loss(head: LinearHead, examples: Examples) -> float:
    true_class = head.probabilities(examples.features)[np.arange(len(examples)), examples.labels]
    return float(-np.average(np.log(np.maximum(true_class, _SMALLEST_PROBABILITY)), weights=examples.weights))


def _path(examples: Examples, classes: int, biased: bool, penalties: Sequence[float]) -> Iterator[LinearHead]:
    """Yield the head of each penalty, from the strongest; each fit starts from the previous solution (warm start)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    # Without a bias, the features are not centered, because no offset could compensate for their mean.
    mean = examples.features.mean(axis=0) if biased else np.zeros(examples.features.shape[1], np.float32)
    spread = examples.features.std(axis=0)
    spread = np.where(spread > 1e-6 * max(float(spread.max()), 1e-30), spread, 1).astype(np.float32)
    scaled = (examples.features - mean) / spread
    present = np.unique(examples.labels)
    if len(present) < 2:
        yield _head(np.zeros((len(scaled[0]), len(present))), np.zeros(len(present)), present, classes, penalties[0])
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


def _head(
    kernel: NDArray[np.floating], bias: NDArray[np.floating], present: Labels, classes: int, penalty: float
) -> LinearHead:  # fmt: skip
    """Return a head for all classes from the kernel and bias of the classes with training images."""
    full_kernel = np.zeros((len(kernel), classes), np.float32)
    offsets = np.full(classes, _ABSENT_LOGIT, np.float32)
    full_kernel[:, present], offsets[present] = kernel, bias
    return LinearHead(full_kernel, offsets, penalty)


def fit_head_epoch(
    trained: keras.Model,
    validated: keras.Model,
    splits: Mapping[SplitName, Split],
    run: Run,
    state: TrainingState,
    progress: Progress,
) -> Iterator[int]:
    """Run the head phase: fit the head, set it in the training model, update the state, and yield the image count.

    If the recipe uses horizontal flips, the head is fitted to each training image and its mirror image.

    Args:
        trained: training model, whose head is set.
        validated: stock network in float32, which computes the features.
        splits: splits "train" and "validation"; the validation images choose the penalty.
        run: run with the recipe.
        state: state of the training, which is updated.
        progress: callbacks.
    """
    assign(validated, named_weights(trained))
    extract = FeatureExtractor(
        without_head(validated),
        weights_fingerprint(run.recipe.network, body_weights(validated, named_weights(validated))),
        run.preprocessing,
        run.data_name,
    )
    training, validation = splits["train"], splits["validation"]
    mirrorings = (False, True) if run.recipe.horizontal_flip else (False,)
    with progress.on_stage("features", total=len(mirrorings) * len(training) + len(validation), unit="images") as bar:
        features = [extract(training, mirrored, bar.update) for mirrored in mirrorings]
        held_out = extract(validation, False, bar.update)
    biased = bool(head_of(trained).use_bias)
    with progress.on_stage("head", total=len(PENALTIES), unit="penalties") as bar:
        head = _fit_on_features(features, held_out, splits, run, biased=biased, advance=bar.update)
    set_head(trained, head.kernel, head.bias)
    probabilities = head.probabilities(features[0])
    true_class = probabilities[np.arange(len(training)), training.labels]
    state.seen = len(training)
    state.loss_sum = float(-np.log(np.maximum(true_class, 1e-7)).sum())
    state.correct = int((probabilities.argmax(axis=1) == training.labels).sum())
    yield len(training)


def _fit_on_features(
    features: list[NDArray[np.float32]],
    held_out: NDArray[np.float32],
    splits: Mapping[SplitName, Split],
    run: Run,
    *,
    biased: bool,
    advance: Callable[[int], object],
) -> LinearHead:
    classes = len(run.class_names)
    class_weights = balanced_class_weights(splits["train"], run)
    if class_weights is None:
        class_weights = np.ones(classes, np.float32)
    labels = np.tile(splits["train"].labels, len(features))
    validated = splits["validation"].labels
    return fit_linear_head(
        Examples(np.concatenate(features), labels, class_weights[labels]),
        Examples(held_out, validated, class_weights[validated]),
        classes=classes,
        biased=biased,
        seed=run.recipe.seed,
        advance=advance,
    )
