"""Learning phase of labeling: which images a person is asked next, and what a linear head makes of the answers.

Nothing here is part of the promise: its estimates only decide what is asked and when the learning ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from saccade.labeling.components import principal_components
from saccade.training.transfer_learning.features import Features
from saccade.training.transfer_learning.linear_head import Examples, choose_penalty, fit_linear_head

_COMPONENTS = 128
_FOLDS = 5
_RANDOM_PART = 0.2
_CANDIDATES = 4  # uncertain candidates for each question, of which different ones are asked
_TEMPERATURES = np.geomspace(0.25, 8, 41)


@dataclass(frozen=True, eq=False)
class ModelLabels:
    """Labels of all images by a head that was fitted to the answers so far.

    Attributes:
        labels: label of each image, int64 [N].
        probability_wrong: estimated probability that the label is wrong, float64 [N].
    """

    labels: NDArray[np.int64]
    probability_wrong: NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """An image that a person is asked to label, and why.

    Attributes:
        position: position of the image in the heap.
        reason: "typical", "random", "uncertain", "sample" or "threshold".
        probability: probability with which the image is asked, 0 to 1; 1 for an image that was chosen.
    """

    position: int
    reason: str
    probability: float = 1.0


def reduced(features: Features, *, seed: int) -> Features:
    """Return the principal components of unit features, float32 [N, at most 128], of variance 1 in the mean."""
    components = principal_components(features, _COMPONENTS, seed=seed)
    return np.asarray(components / max(float(components.std()), 1e-12), np.float32)


def first_questions(components: Features, count: int, rng: np.random.Generator) -> list[Question]:
    """Return the typical images of `count` clusters: the image nearest to the center of each."""
    return [
        Question(position, "typical") for position in _different(components, np.arange(len(components)), count, rng)
    ]


def next_questions(
    components: Features, model_labels: ModelLabels, asked: NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[Question]:
    """Return the next images to ask: a random part, and uncertain images that differ from each other.

    Args:
        components: result of `reduced`.
        model_labels: labels and their estimated errors.
        asked: positions of images that were asked before, int64 [m].
        count: number of questions, at most.
        rng: generator of random numbers.
    """
    left = np.setdiff1d(np.arange(len(components)), asked)
    drawn = rng.permutation(left)[: round(_RANDOM_PART * count)]
    others = np.setdiff1d(left, drawn)
    most_uncertain = others[np.argsort(-model_labels.probability_wrong[others], kind="stable")]
    wanted = min(count - len(drawn), len(others))
    chosen = _different(components, most_uncertain[: _CANDIDATES * wanted], wanted, rng)
    return [Question(int(position), "random") for position in drawn] + [
        Question(position, "uncertain") for position in chosen
    ]


def _different(components: Features, candidates: NDArray[np.int64], count: int, rng: np.random.Generator) -> list[int]:
    """Return at most `count` candidates that differ: the one nearest to the center of each cluster of them."""
    from sklearn.cluster import KMeans

    if len(candidates) <= count:
        return [int(position) for position in candidates]
    if not count:
        return []
    values = components[candidates]
    means = KMeans(count, n_init=1, max_iter=30, random_state=int(rng.integers(2**31))).fit(values)
    distances = ((values - means.cluster_centers_[means.labels_]) ** 2).sum(axis=1)
    order = np.lexsort((distances, means.labels_))
    first = np.flatnonzero(np.diff(means.labels_[order], prepend=-1))
    return [int(candidates[order[position]]) for position in first]


def learn(
    components: Features, asked: NDArray[np.int64], labels: NDArray[np.int64], *, classes: int, penalty: float | None
) -> tuple[ModelLabels, float]:
    """Fit a head to answers, and return the labels of all images and the penalty of the head.

    The probabilities are calibrated by a temperature, fitted to predictions of a cross-validation over the answers.

    Args:
        components: result of `reduced`.
        asked: positions of the images with answers, int64 [m].
        labels: their labels, int64 [m].
        classes: number of classes, at least 2.
        penalty: penalty of a previous fit to use again; None chooses one by cross-validation.
    """
    examples = _examples(components[asked], labels)
    if penalty is None:
        nothing = examples.at(np.empty(0, np.int64))
        penalty = choose_penalty(examples, nothing, classes=classes, biased=True, seed=0, advance=lambda _: None)
    temperature = _temperature(examples, penalty, classes)
    head = fit_linear_head(examples.at(np.arange(len(examples))), penalty, classes=classes, biased=True)
    logits = components @ head.kernel + head.bias
    probabilities = softmax(logits.astype(np.float64) / temperature, axis=1)
    return ModelLabels(probabilities.argmax(axis=1), 1 - probabilities.max(axis=1)), penalty


def _examples(features: Features, labels: NDArray[np.int64]) -> Examples:
    n = len(labels)
    return Examples(np.ascontiguousarray(features), labels, np.ones(n, np.float32), np.arange(n))


def _temperature(examples: Examples, penalty: float, classes: int) -> float:
    """Return the temperature with the lowest log-loss over predictions of a cross-validation; 1 for few answers."""
    fold = np.arange(len(examples)) % _FOLDS
    logits = np.zeros((len(examples), classes))
    for number in range(_FOLDS):
        fitted, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(np.unique(examples.labels[fitted])) < 2 or not len(held_out):
            return 1.0
        head = fit_linear_head(examples.at(fitted), penalty, classes=classes, biased=True)
        logits[held_out] = examples.features[held_out] @ head.kernel + head.bias
    true = np.arange(len(examples)), examples.labels
    losses = [
        -np.log(np.maximum(softmax(logits / temperature, axis=1)[true], 1e-12)).mean() for temperature in _TEMPERATURES
    ]
    return float(_TEMPERATURES[int(np.argmin(losses))])
