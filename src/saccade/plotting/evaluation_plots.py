"""Plots of an evaluation: the confusion matrix, and images with their predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from saccade.plotting.figure import new_figure
from saccade.plotting.image_grid import CORRECT, INCORRECT, Tile, draw_grid

_COLUMNS = 5
_MAX_CLASSES_WITH_NUMBERS = 25
_MAX_CLASSES_WITH_NAMES = 100


def draw_confusion_matrix(matrix: NDArray[np.int64], class_names: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix, colored by the fraction of the true class; up to 25 classes with numbers of images.

    Args:
        matrix: numbers of images by true class (row) and predicted class (column), int64 [classes, classes].
        class_names: names of the classes, in the order of the labels. Above 100 classes some names are omitted.
        title: title of the figure.
    """
    classes = len(class_names)
    with_numbers = classes <= _MAX_CLASSES_WITH_NUMBERS
    side = 2.5 + 0.5 * classes if with_numbers else min(11.5 + 0.14 * classes, 28.0)
    side = max(5.0, side)
    figure = new_figure(side + 1, side)
    axes = figure.add_subplot()
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # The square root makes fractions of a few percent visible beside a diagonal near 1.
    image = axes.imshow(fractions, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1), interpolation="nearest")
    size = max(10.0, 0.7 * side)
    figure.colorbar(image, ax=axes, shrink=0.8, aspect=30).set_label("fraction of the true class", size=size)
    _name_classes(axes, class_names)
    if with_numbers:
        _write_numbers(axes, matrix, fractions)
    axes.set_xlabel("predicted class", fontsize=size)
    axes.set_ylabel("true class", fontsize=size)
    axes.set_title(title, fontsize=1.2 * size, parse_math=False)
    return figure


def draw_predictions(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    class_names: Sequence[str],
    title: str,
) -> Figure:
    """Draw up to 25 images with predicted and true classes; incorrect predictions have a cross and a thick red frame.

    Args:
        images: uint8 [n, height, width, 3], n at most 25.
        labels: true classes, int64 [n].
        probabilities: predicted probabilities, float [n, classes].
        class_names: names of the classes, in the order of the labels.
        title: title of the figure.
    """
    tiles = []
    for image, label, row in zip(images, labels, probabilities, strict=True):
        predicted = int(row.argmax())
        correct = predicted == label
        prediction = f"{'✓' if correct else '✗'} {_short(class_names[predicted], 18)} {row[predicted]:.0%}"
        lines = (prediction, f"true: {_short(class_names[label], 18)}")
        tiles.append(Tile(image, lines, color=CORRECT if correct else INCORRECT, frame=1.0 if correct else 3.0))
    return draw_grid(title, tiles, columns=_COLUMNS, side=1.9)


def choose_images(n: int) -> NDArray[np.int64]:
    """Choose at most 25 of n images at random with a fixed seed; return their positions, ascending, int64."""
    chosen = np.random.default_rng(0).choice(n, size=min(n, _COLUMNS * _COLUMNS), replace=False)
    return np.sort(chosen).astype(np.int64)


def _name_classes(axes: Axes, class_names: Sequence[str]) -> None:
    classes = len(class_names)
    every = math.ceil(classes / _MAX_CLASSES_WITH_NAMES)
    ticks = range(0, classes, every)
    names = [_short(class_names[tick], 24) for tick in ticks]
    size = 10 if classes <= _MAX_CLASSES_WITH_NUMBERS else 7
    axes.set_xticks(ticks, names, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=size, parse_math=False)


def _write_numbers(axes: Axes, matrix: NDArray[np.int64], fractions: NDArray[np.float64]) -> None:
    size = 9 if len(matrix) <= 12 else 7
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            color = "white" if fractions[row, column] > 0.25 else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=size, color=color)


def _short(name: str, length: int) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in name)
    return printable if len(printable) <= length else f"{printable[: length - 1]}…"
