"""Plots of a dataset: a grid of labeled images, and a bar chart of the class counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.plotting.figure import new_figure
from saccade.plotting.image_grid import Tile, draw_grid
from saccade.sanitize import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAMPLE_COLUMNS = 5
"""Number of images in a row of the grid of samples."""

_MAX_NAME_LENGTH = 24
_MAX_NAMED_BARS = 60
_COLORS = {"train": "#1f77b4", "validation": "#ff7f0e", "test": "#2ca02c"}


def draw_samples(images: NDArray[np.uint8], image_classes: Sequence[str], title: str) -> Figure:
    """Draw a grid of images with their class names.

    Args:
        images: array of shape [n, height, width, 3], uint8.
        image_classes: class name of each image.
        title: text above the grid.
    """
    tiles = [Tile(image, (_short(name),)) for image, name in zip(images, image_classes, strict=True)]
    return draw_grid(title, tiles, columns=SAMPLE_COLUMNS, side=1.8)


def draw_class_counts(counts: Mapping[str, Sequence[int]], class_names: Sequence[str], title: str) -> Figure:
    """Draw a stacked bar chart of the number of images in each class and split.

    Args:
        counts: by split, the number of images in each class.
        class_names: names of the classes, in the order of the counts.
        title: text above the chart.
    """
    figure = new_figure(9.0, min(2.0 + 0.35 * len(class_names), 24.0))
    axes = figure.add_subplot()
    left = np.zeros(len(class_names), np.int64)
    for split, class_counts in counts.items():
        widths = np.array(class_counts)
        label = f"{split}: {widths.sum():,}"
        axes.barh(np.arange(len(class_names)), widths, left=left, color=_COLORS[split], label=label)
        left += widths
    _label_bars(axes, class_names)
    axes.set_xlabel("images")
    axes.set_title(title, parse_math=False)
    figure.legend(loc="outside lower center", ncols=len(counts))
    return figure


def _label_bars(axes: Axes, class_names: Sequence[str]) -> None:
    """Label each bar with its class; label only every k-th bar where there are too many to read."""
    step = math.ceil(len(class_names) / _MAX_NAMED_BARS)
    positions = range(0, len(class_names), step)
    axes.set_yticks(positions, [_short(class_names[position]) for position in positions], parse_math=False)
    axes.invert_yaxis()
    axes.margins(y=0.01)


def _short(name: str) -> str:
    return shortened(name, _MAX_NAME_LENGTH)
