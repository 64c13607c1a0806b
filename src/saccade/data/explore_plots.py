"""The drawings of `saccade explore`: a grid of labeled training images, and the number of images in each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.atomic_io import atomic_write
from saccade.data.dataset import Dataset, Split
from saccade.data.explore import Exploration
from saccade.plotting.figure import new_figure, save_figure
from saccade.plotting.image_grid import Tile, draw_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE = 5
_LONGEST_NAME = 24
_MOST_BARS = 60
_COLORS = {"train": "#1f77b4", "validation": "#ff7f0e", "test": "#2ca02c"}


def save_plots(dataset: Dataset, exploration: Exploration, folder: Path) -> tuple[Path, Path]:
    """Writes `samples.png` and `classes.png` into an existing folder; returns their paths.

    The first shows up to 25 training images with their classes, spread over the classes and always the same ones;
    the second the number of images in each class and split.
    """
    samples, classes = folder / "samples.png", folder / "classes.png"
    _save(_draw_samples(dataset), samples)
    _save(_draw_classes(exploration), classes)
    return samples, classes


def choose_samples(split: Split) -> NDArray[np.int64]:
    """Positions of up to 25 images of a split: one of each class in turn, at random, always the same; int64."""
    rng = np.random.Generator(np.random.Philox(0))
    order = rng.permutation(len(split))
    rank_in_class = np.empty(len(split), np.int64)
    for label in np.unique(split.labels):
        own = order[split.labels[order] == label]
        rank_in_class[own] = np.arange(len(own))
    # All first images of the classes in a random order of classes, then all second ones, and so on.
    turn = np.lexsort((rng.permutation(int(split.labels.max()) + 1)[split.labels], rank_in_class))
    chosen = turn[: _SIDE * _SIDE]
    return chosen[np.argsort(split.labels[chosen], kind="stable")]


def _draw_samples(dataset: Dataset) -> Figure:
    split = dataset.splits["train"]
    chosen = choose_samples(split)
    tiles = [
        Tile(image, (_short(dataset.class_names[label]),))
        for image, label in zip(split.take(chosen), split.labels[chosen], strict=True)
    ]
    return draw_grid(f"Training images of {_short(dataset.name)}", tiles, columns=_SIDE, side=1.8)


def _draw_classes(exploration: Exploration) -> Figure:
    names = exploration.class_names
    splits = exploration.counts
    figure = new_figure(9.0, min(2.0 + 0.35 * len(names), 24.0))
    axes = figure.add_subplot()
    before = np.zeros(len(names), np.int64)
    for split, counts in splits.items():
        own = np.array([counts[name] for name in names])
        axes.barh(np.arange(len(names)), own, left=before, color=_COLORS[split], label=f"{split}: {own.sum():,}")
        before += own
    _name_bars(axes, names)
    axes.set_xlabel("images")
    axes.set_title(f"Images by class in {_short(exploration.name)}", parse_math=False)
    figure.legend(loc="outside lower center", ncols=len(splits))
    return figure


def _name_bars(axes: Axes, names: Sequence[str]) -> None:
    """Names every class, or, of very many, only as many as can be read."""
    every = math.ceil(len(names) / _MOST_BARS)
    places = range(0, len(names), every)
    axes.set_yticks(places, [_short(names[place]) for place in places], parse_math=False)
    axes.invert_yaxis()
    axes.margins(y=0.01)


def _save(figure: Figure, path: Path) -> None:
    with atomic_write(path) as partial:
        save_figure(figure, partial)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
