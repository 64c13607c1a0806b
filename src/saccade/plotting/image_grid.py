"""Grid of images with lines of text above and below each image.

All images are drawn on one Axes object, because one Axes object for each of 25 images takes half a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CORRECT = "#1a7f37"
"""Color of correct predictions."""

INCORRECT = "#c01c28"
"""Color of incorrect predictions."""

_FONT_SIZE = 9  # points
_LINE_HEIGHT = 1.4 * _FONT_SIZE / 72  # inches
_GAP = 0.05  # inches
_TITLE_SIZE = 12  # points
_TITLE_LINE_HEIGHT = 1.4 * _TITLE_SIZE / 72  # inches


@dataclass(frozen=True)
class Tile:
    """Image of the grid, with text.

    Attributes:
        image: array of shape [height, width, 3], uint8.
        above: lines of text above the image, in the color of the frame.
        below: lines of text below the image, and the color of each line.
        color: color of the frame; None for no frame.
        frame: width of the frame, in points.
    """

    image: NDArray[np.uint8]
    above: tuple[str, ...]
    below: tuple[tuple[str, str], ...] = ()
    color: str | None = None
    frame: float = 1.0


def draw_grid(title: str, tiles: Sequence[Tile], *, columns: int, side: float) -> Figure:
    """Draw images in rows, each scaled to a square of one size with its aspect ratio.

    Args:
        title: text above the grid, of one line or several lines.
        tiles: images, all with equal numbers of lines above and below.
        columns: number of images in a row.
        side: side of the square of an image, in inches.
    """
    from matplotlib.figure import Figure

    above, below = (len(tiles[0].above), len(tiles[0].below)) if tiles else (0, 0)
    rows = max(1, -(-len(tiles) // columns))
    lines = title.count("\n") + 1
    cell = (side + 4 * _GAP, side + 4 * _GAP + (above + below) * _LINE_HEIGHT)
    width, height = columns * cell[0], rows * cell[1] + lines * _TITLE_LINE_HEIGHT + 2 * _GAP
    figure = Figure(figsize=(width, height))
    figure.suptitle(title, y=1 - _GAP / height, va="top", fontsize=_TITLE_SIZE, parse_math=False)
    axes = figure.add_axes((0, 0, 1, 1))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        center = (column + 0.5) * cell[0]
        top = height - lines * _TITLE_LINE_HEIGHT - 2 * _GAP - row * cell[1] - above * _LINE_HEIGHT - _GAP
        _draw_tile(axes, tile, center, top, side)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    return figure


def _draw_tile(axes: Axes, tile: Tile, center: float, top: float, side: float) -> None:
    """Draw an image with its text, in inches from the lower left corner; `top` is the top of the square."""
    from matplotlib.patches import Rectangle

    height, width = np.array(tile.image.shape[:2]) * side / max(tile.image.shape[:2])
    left, upper = center - width / 2, top - (side - height) / 2
    axes.imshow(tile.image, interpolation="nearest", aspect="auto", extent=(left, left + width, upper - height, upper))
    if tile.color is not None:
        axes.add_patch(
            Rectangle((left, upper - height), width, height, fill=False, edgecolor=tile.color, linewidth=tile.frame)
        )
    for number, line in enumerate(reversed(tile.above)):
        _write(axes, line, center, top + _GAP + number * _LINE_HEIGHT, tile.color or "black", "bottom")
    for number, (line, color) in enumerate(tile.below):
        _write(axes, line, center, top - side - _GAP - number * _LINE_HEIGHT, color, "top")


def _write(axes: Axes, line: str, center: float, y: float, color: str, edge: str) -> None:
    axes.text(center, y, line, ha="center", va=edge, color=color, fontsize=_FONT_SIZE, parse_math=False)
