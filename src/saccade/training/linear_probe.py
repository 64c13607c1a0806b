"""A regularized linear head on fixed features: multinomial logistic regression, as scikit-learn has it.

The first epoch of a transfer: a linear head is fitted to what the network, standing still, gives of each image.
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
from saccade.training.class_weights import class_weights_of
from saccade.training.features import FeatureExtractor
from saccade.training.pretrained import weights_fingerprint
from saccade.training.progress import Progress

if TYPE_CHECKING:
    import keras

Features = NDArray[np.float32]
Labels = NDArray[np.int64]

# scikit-learn's C, the inverse of the penalty's weight, for features of spread 1; from strong to none to speak of.
PENALTIES = tuple(10.0**power for power in np.arange(-5, 2.1, 0.5))
# From the strongest to the weakest penalty the loss on other images falls and then rises. Weak penalties take the
# most iterations, so they are left out once the loss has risen at so many in a row.
_RISES = 2
# Multiplications in a product of features and kernel from which more than one thread of the linear algebra pays. Below,
# threads wait for each other longer than they compute: 1,033 coins took 27 s of processor time so, and 0.2 s with one.
_WORTH_THREADS = 10**8
_HELD_OUT = 0.2
# A class without an image is as improbable as one logit can say.
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
        return np.asarray(softmax(features.astype(np.float64) @ self.kernel + self.bias, axis=1))


@dataclass(frozen=True)
class Examples:
    """Images by their features.

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
    training: Examples,
    validation: Examples,
    *,
    classes: int,
    biased: bool,
    seed: int,
    advance: Callable[[int], object],
) -> LinearHead:
    """Fits a head with the penalty that has the least log-loss on other images.

    Args:
        training: what it is fitted to.
        validation: what the penalty is chosen by; if it is empty, a fifth of the training images is held out for
            that, and then given back.
        classes: how many there are.
        biased: whether the head has a bias.
        seed: of what is held out.
        advance: is told of the number of penalties that are done with, in all as many as `PENALTIES`.
    """
    if len(validation):
        return _best(training, validation, classes, biased, advance)
    shuffled = make_rng(seed, 0, "head penalty").permutation(len(training))
    cut = max(1, round(_HELD_OUT * len(training)))
    rest = shuffled[cut:] if len(training) > cut else shuffled
    chosen = _best(training.at(rest), training.at(shuffled[:cut]), classes, biased, advance).penalty
    return next(_path(training, classes, biased, (chosen,)))


def _best(
    training: Examples, validation: Examples, classes: int, biased: bool, advance: Callable[[int], object]
) -> LinearHead:  # fmt: skip
    """The head with the least log-loss on the validation images; penalties after `_RISES` rises are left out."""
    losses: list[tuple[float, LinearHead]] = []
    rises = 0
    for head in _path(training, classes, biased, PENALTIES):
        loss = _log_loss(head, validation)
        rises = rises + 1 if losses and loss > losses[-1][0] else 0
        losses.append((loss, head))
        if rises == _RISES:
            break
        advance(1)
    advance(len(PENALTIES) - len(losses) + (rises == _RISES))
    return min(losses, key=lambda pair: pair[0])[1]


def _log_loss(head: LinearHead, examples: Examples) -> float:
    of_truth = head.probabilities(examples.features)[np.arange(len(examples)), examples.labels]
    return float(-np.average(np.log(np.maximum(of_truth, _SMALLEST_PROBABILITY)), weights=examples.weights))


def _path(examples: Examples, classes: int, biased: bool, penalties: Sequence[float]) -> Iterator[LinearHead]:
    """The heads of some penalties, from the strongest; each begins where the one before it ended."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    # Without a bias there is nothing that could take up a mean.
    mean = examples.features.mean(axis=0) if biased else np.zeros(examples.features.shape[1], np.float32)
    spread = examples.features.std(axis=0)
    spread = np.where(spread > 1e-6 * max(float(spread.max()), 1e-30), spread, 1).astype(np.float32)
    scaled = (examples.features - mean) / spread
    present = np.unique(examples.labels)
    if len(present) < 2:
        yield _head(np.zeros((len(scaled[0]), len(present))), np.zeros(len(present)), present, classes, penalties[0])
        return
    regression = LogisticRegression(fit_intercept=biased, max_iter=300, warm_start=True, tol=1e-4)
    threads = None if scaled.size * len(present) >= _WORTH_THREADS else 1
    for penalty in penalties:
        # A larger data term at the same penalty: C counts per image, so that the range holds for any number of them.
        regression.C = penalty * 1000 / len(examples)
        with warnings.catch_warnings(), threadpool_limits(threads, "blas"):
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


def head_epoch(
    trained: keras.Model,
    validated: keras.Model,
    splits: Mapping[SplitName, Split],
    run: Run,
    state: TrainingState,
    progress: Progress,
) -> Iterator[int]:
    """Fits the head, sets that of the trained network to it, and moves the state on; yields the number of images.

    The head learns from each training image and from its mirror image, if the recipe mirrors at all.

    Args:
        trained: the training model; its head is set.
        validated: the stock network, which gives the features, in float32.
        splits: "train" and "validation", of the latter those that choose the penalty.
        run: its recipe is followed.
        state: of the training.
        progress: is told of the features and of the fit.
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
    with progress.on_feature_extraction(len(mirrorings) * len(training) + len(validation)) as bar:
        features = [extract(training, mirrored, bar.update) for mirrored in mirrorings]
        held_out = extract(validation, False, bar.update)
    biased = bool(head_of(trained).use_bias)
    with progress.on_head_fit(len(PENALTIES)) as bar:
        head = _fitted(features, held_out, splits, run, biased=biased, advance=bar.update)
    set_head(trained, head.kernel, head.bias)
    probabilities = head.probabilities(features[0])
    of_truth = probabilities[np.arange(len(training)), training.labels]
    state.seen = len(training)
    state.loss_sum = float(-np.log(np.maximum(of_truth, 1e-7)).sum())
    state.correct = int((probabilities.argmax(axis=1) == training.labels).sum())
    yield len(training)


def _fitted(
    features: list[NDArray[np.float32]],
    held_out: NDArray[np.float32],
    splits: Mapping[SplitName, Split],
    run: Run,
    *,
    biased: bool,
    advance: Callable[[int], object],
) -> LinearHead:
    classes = len(run.class_names)
    class_weights = class_weights_of(splits["train"], run)
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
