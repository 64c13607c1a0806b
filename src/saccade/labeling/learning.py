"""Learning phase of labeling: which images a person is asked next, and what a head makes of the answers.

The head is a kernel ridge regression: a linear least-squares classifier on the principal components of a Gaussian
kernel of the features. All predictions of a leave-one-out cross-validation have a closed form, so that penalty and
temperature are chosen in a single fit after each round of answers.

Nothing here is part of the promise: its estimates only decide what is asked and when the learning ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.special import log_softmax, softmax

from saccade.training.transfer_learning.features import Features, unit_features

_COMPONENTS = 512
_LANDMARKS = 2000  # images of which the components are computed exactly; the others are projected onto them
_KERNEL_WIDTH = 0.3  # factor of the squared distance in the kernel; the mean squared distance is 2
_RANDOM_PART = 0.1
_CLUSTERED = 64  # components in which images are clustered
_CANDIDATES = 4  # uncertain candidates for each question, of which different ones are asked
_PENALTIES = np.geomspace(1e-3, 10, 9)
_TEMPERATURES = np.geomspace(0.03, 1, 31)


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
    """Return the principal components of a Gaussian kernel of unit features, float32 [N, at most 512].

    Source: B. Schölkopf, A. Smola, K.-R. Müller, "Nonlinear component analysis as a kernel eigenvalue problem" (1998),
    without centering in the feature space; from 2,000 random images by the Nyström method of C. Williams and M. Seeger
    (2001).

    Args:
        features: features of all images, float32 [N, d].
        seed: seed of the random images.
    """
    centered = unit_features(features)
    centered = centered - centered.mean(axis=0)
    centered /= max(float(np.sqrt((centered**2).sum(axis=1).mean())), 1e-12)
    landmarks = centered[np.random.default_rng(seed).permutation(len(centered))[:_LANDMARKS]]
    count = min(_COMPONENTS, len(landmarks))
    of_landmarks = _kernel(landmarks, landmarks).astype(np.float64)
    values, vectors = eigh(of_landmarks, subset_by_index=(len(landmarks) - count, len(landmarks) - 1))
    is_used = values > 1e-7 * values[-1]  # the rest is rounding
    projection = np.asarray((vectors[:, is_used] / np.sqrt(values[is_used]))[:, ::-1], np.float32)
    return _kernel(centered, landmarks) @ projection


def _kernel(these: Features, others: Features) -> Features:
    """Return the Gaussian kernel of features [n, d] and [m, d], float32 [n, m]."""
    squares = (these**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * (these @ others.T)
    return np.asarray(np.exp(-_KERNEL_WIDTH * np.maximum(squares, 0)), np.float32)


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
    values = np.ascontiguousarray(components[candidates, :_CLUSTERED])
    means = KMeans(count, n_init=1, max_iter=30, random_state=int(rng.integers(2**31))).fit(values)
    distances = ((values - means.cluster_centers_[means.labels_]) ** 2).sum(axis=1)
    order = np.lexsort((distances, means.labels_))
    first = np.flatnonzero(np.diff(means.labels_[order], prepend=-1))
    return [int(candidates[order[position]]) for position in first]


def learn(components: Features, asked: NDArray[np.int64], labels: NDArray[np.int64], *, classes: int) -> ModelLabels:
    """Fit a head to answers, and return the labels of all images.

    The probabilities are the softmax of the least-squares predictions, divided by a temperature. Penalty and
    temperature have the lowest log-loss of the predictions of a leave-one-out cross-validation.

    Args:
        components: result of `reduced`.
        asked: positions of the images with answers, int64 [m].
        labels: their labels, int64 [m].
        classes: number of classes, at least 2.
    """
    examples = components[asked].astype(np.float64)
    mean, share = examples.mean(axis=0), np.bincount(labels, minlength=classes) / len(labels)
    true = np.eye(classes)[labels]
    # In the coordinates of the principal axes of the examples, the penalty acts on each coordinate by itself.
    squares, axes = np.linalg.eigh((examples - mean).T @ (examples - mean))
    rotated = (examples - mean) @ axes
    products = rotated.T @ (true - share)
    lowest, kernel, temperature = np.inf, np.zeros_like(products), 1.0
    for penalty in _PENALTIES:
        weights = products / (squares + penalty)[:, None]
        leverage = (rotated**2) @ (1 / (squares + penalty)) + 1 / len(labels)
        residuals = (true - share - rotated @ weights) / np.maximum(1 - leverage, 1e-6)[:, None]
        loss, candidate = _best_temperature(true - residuals, labels)
        if loss < lowest:
            lowest, kernel, temperature = loss, axes @ weights, candidate
    predictions = components @ kernel + (share - mean @ kernel)
    probabilities = softmax(predictions / temperature, axis=1)
    return ModelLabels(probabilities.argmax(axis=1), 1 - probabilities.max(axis=1))


def _best_temperature(predictions: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return the lowest mean log-loss of predictions [m, classes] over the temperatures, and its temperature."""
    true = np.arange(len(labels)), labels
    losses = [-log_softmax(predictions / temperature, axis=1)[true].mean() for temperature in _TEMPERATURES]
    best = int(np.argmin(losses))
    return float(losses[best]), float(_TEMPERATURES[best])
