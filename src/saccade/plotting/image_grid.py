"""A grid of images with words above and below each.

All are drawn on one pair of axes: with a pair for each, which is Matplotlib's own way, 25 images take half a second.
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
"""The color of what is right."""

INCORRECT = "#c01c28"
"""The color of what is wrong."""

_FONT_SIZE = 9
_LINE = 1.4 * _FONT_SIZE / 72
_GAP = 0.05
_TITLE_SIZE = 12
_TITLE_LINE = 1.4 * _TITLE_SIZE / 72


@dataclass(frozen=True)
class Tile:
    """An image of the grid.

    Attributes:
        image: uint8 [height, width, 3].
        above: lines above it, all in the color of its frame.
        below: lines below it, and the color of each.
        color: of the frame; None for no frame.
        frame: width of the frame, in points.
    """

    image: NDArray[np.uint8]
    above: tuple[str, ...]
    below: tuple[tuple[str, str], ...] = ()
    color: str | None = None
    frame: float = 1.0


def draw_grid(title: str, tiles: Sequence[Tile], *, columns: int, side: float) -> Figure:
    """Draws images in rows, all of one size, in their own proportions.

    Args:
        title: stands above the grid, on one line or several.
        tiles: with as many lines above and below in each.
        columns: images in a row.
        side: of the square that an image has, in inches.
    """
    from matplotlib.figure import Figure

    above, below = (len(tiles[0].above), len(tiles[0].below)) if tiles else (0, 0)
    rows = max(1, -(-len(tiles) // columns))
    lines = title.count("\n") + 1
    cell = (side + 4 * _GAP, side + 4 * _GAP + (above + below) * _LINE)
    width, height = columns * cell[0], rows * cell[1] + lines * _TITLE_LINE + 2 * _GAP
    figure = Figure(figsize=(width, height))
    figure.suptitle(title, y=1 - _GAP / height, va="top", fontsize=_TITLE_SIZE, parse_math=False)
    axes = figure.add_axes((0, 0, 1, 1))
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        center = (column + 0.5) * cell[0]
        top = height - lines * _TITLE_LINE - 2 * _GAP - row * cell[1] - above * _LINE - _GAP
        _draw_tile(axes, tile, center, top, side)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    return figure


def _draw_tile(axes: Axes, tile: Tile, center: float, top: float, side: float) -> None:
    """Draws an image with its words, in inches from the lower left; `top` is that of its square."""
    from matplotlib.patches import Rectangle

    height, width = np.array(tile.image.shape[:2]) * side / max(tile.image.shape[:2])
    left, upper = center - width / 2, top - (side - height) / 2
    axes.imshow(tile.image, interpolation="nearest", aspect="auto", extent=(left, left + width, upper - height, upper))
    if tile.color is not None:
        axes.add_patch(
            Rectangle((left, upper - height), width, height, fill=False, edgecolor=tile.color, linewidth=tile.frame)
        )
    for number, line in enumerate(reversed(tile.above)):
        _write(axes, line, center, top + _GAP + number * _LINE, tile.color or "black", "bottom")
    for number, (line, color) in enumerate(tile.below):
        _write(axes, line, center, top - side - _GAP - number * _LINE, color, "top")


def _write(axes: Axes, line: str, center: float, y: float, color: str, edge: str) -> None:
    axes.text(center, y, line, ha="center", va=edge, color=color, fontsize=_FONT_SIZE, parse_math=False)
