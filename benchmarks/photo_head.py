"""Accuracy and log-loss of the head of `photo` by image size and by the floor of the features' standard deviations.

    python benchmarks/photo_head.py DATA... [--draws 5] [--size 160 --size 224] [--floor 0 --floor 0.5]

Features come from the cache, or are computed. Data with a test split of its own is scored on it; each draw leaves out
another tenth of the training images, which choose the penalty where they are at least 100. Other data is divided into a
training split and a random fifth, near-duplicates on one side. All settings see the same divisions.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from processes import at_least_one, run_program
from results import Result, add_results_option, keep_results

from saccade.data.dataset import Split
from saccade.data.image_size import square_preprocessing
from saccade.data.load import load
from saccade.models.head import without_head
from saccade.models.networks import efficientnet_lite
from saccade.models.pretrained.imagenet import imagenet_weights
from saccade.models.weights import assign, named_weights
from saccade.training.transfer_learning import linear_head
from saccade.training.transfer_learning.features import FeatureExtractor, Features
from saccade.training.transfer_learning.linear_head import Examples, choose_penalty, fit_linear_head
from saccade.training.transfer_learning.pretrained import weights_fingerprint
from saccade.training.validation_roles import MIN_IMAGES_TO_HALVE

FLOORS = (0.0, 0.1, 0.3, 0.5, 1.0, 3.0)


def main() -> None:
    """Measure every setting on every data set, print and save the results."""
    parser = argparse.ArgumentParser(description="Compares image sizes and floors for the head of photo.")
    parser.add_argument("data", metavar="DATA", nargs="+", help="name, folder or archive of photographs")
    parser.add_argument("--draws", type=at_least_one, default=5, help="random divisions")
    parser.add_argument("--size", type=int, action="append", help="image size; default: 160 and 224")
    parser.add_argument("--floor", type=float, action="append", help="floor; default: 0, 0.1, 0.3, 0.5, 1 and 3")
    add_results_option(parser)
    options = parser.parse_args()
    for name in options.data:
        for size in options.size or (160, 224):
            results = results_of(name, size, list(options.floor or FLOORS), options.draws)
            keep_results("photo_head", list(results), options.results)


def results_of(name: str, size: int, floors: list[float], draws: int) -> Iterator[Result]:
    """Yield the accuracy and the log-loss of each floor at an image size."""
    dataset = load(name, image_size=size, progress=True)
    splits = (
        list(dataset.splits.values()) if dataset.test_is_made else [dataset.splits["train"], dataset.splits["test"]]
    )
    images = Split.joined(splits)
    own_test = None if dataset.test_is_made else len(splits[0])
    plain, mirrored = features_of(images, size)
    scores: dict[float, list[tuple[float, float]]] = {floor: [] for floor in floors}
    for draw in range(draws):
        training, test = division(images, own_test, draw)
        for floor in floors:
            with patch.object(linear_head, "_SPREAD_FLOOR", floor):
                probabilities = predicted(plain, mirrored, images, training, test, draw)
            true_class = probabilities[np.arange(len(test)), images.labels[test]]
            accuracy = (probabilities.argmax(axis=1) == images.labels[test]).mean()
            scores[floor].append((float(accuracy), float(-np.log(np.maximum(true_class, 1e-12)).mean())))
    for floor, values in scores.items():
        subject = f"{Path(name).stem}, {size} pixels, floor {floor:g}"
        yield Result(subject, "accuracy", "fraction", [accuracy for accuracy, _ in values])
        yield Result(subject, "log-loss", "nats", [log_loss for _, log_loss in values])


def features_of(images: Split, size: int) -> tuple[Features, Features]:
    """Return the features of the images and of the mirrored images."""
    network = efficientnet_lite.build(size, size, 2)
    body = {name: weight for name, weight in imagenet_weights().items() if not name.startswith("classes")}
    assign(network, {**named_weights(network), **body})
    fingerprint = weights_fingerprint("EfficientNetLite0", body)
    extract = FeatureExtractor(without_head(network), fingerprint, square_preprocessing(size), "photo_head")
    return extract(images, False, lambda _: None), extract(images, True, lambda _: None)


def division(images: Split, own_test: int | None, draw: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the training and of the test images."""
    if own_test is not None:
        return np.arange(own_test), np.arange(own_test, len(images))
    groups = np.random.default_rng(draw).permutation(np.unique(images.duplicate_groups))
    is_test = np.isin(images.duplicate_groups, groups[: len(groups) // 5])
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def predicted(
    plain: Features,
    mirrored: Features,
    images: Split,
    training: NDArray[np.int64],
    test: NDArray[np.int64],
    draw: int,
) -> NDArray[np.float32]:
    """Fit a head as `photo` does, and return the class probabilities of the test images."""
    classes = int(images.labels.max()) + 1
    shuffled = np.random.default_rng(draw).permutation(training)
    validation, fitted = shuffled[: len(shuffled) // 10], shuffled[len(shuffled) // 10 :]
    if len(validation) < MIN_IMAGES_TO_HALVE:
        validation = validation[:0]
    chosen = choose_penalty(
        examples([plain], images, fitted),
        examples([plain], images, validation),
        classes=classes,
        biased=True,
        seed=draw,
        advance=lambda _: None,
    )
    head = fit_linear_head(examples([plain, mirrored], images, fitted), chosen, classes=classes, biased=True)
    return head.probabilities(plain[test])


def examples(variants: list[Features], images: Split, positions: NDArray[np.int64]) -> Examples:
    """Return the examples of some images, once, or also mirrored."""
    labels, groups = (np.tile(column[positions], len(variants)) for column in (images.labels, images.duplicate_groups))
    features = np.concatenate([variant[positions] for variant in variants])
    return Examples(features, labels, np.ones(len(labels), np.float32), groups)


if __name__ == "__main__":
    run_program(main)
