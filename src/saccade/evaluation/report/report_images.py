"""Which images a report page holds, and how small, so that it stays a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.html.render import image_source
from saccade.runs.predictions import Predictions

_PER_CELL = 24
_IN_ALL = 1500
_LARGEST_SIDE = 96


@dataclass(frozen=True)
class CellImages:
    """Images of cells of a confusion matrix.

    Attributes:
        cells: for "true,predicted" the positions of some of its images, the most confident first.
    """

    cells: dict[str, list[int]]

    def positions(self) -> NDArray[np.int64]:
        """All of them, each once, ascending; int64."""
        return np.array(sorted({position for own in self.cells.values() for position in own}), np.int64)


def chosen_images(predictions: Predictions, *, most_cells: int) -> CellImages:
    """Up to 24 images of each cell and 1,500 in all, the most confident of each cell.

    Where there are too many, every cell gives up its last ones alike, incorrect predictions after right ones.

    Args:
        predictions: of the run.
        most_cells: with more cells than this, none has images.
    """
    classes = predictions.probabilities.shape[1]
    if classes**2 > most_cells:
        return CellImages({})
    predicted, confidences = predictions.probabilities.argmax(axis=1), predictions.probabilities.max(axis=1)
    order = np.argsort(-confidences, kind="stable")
    cell = predictions.labels[order] * classes + predicted[order]
    own = {int(number): order[cell == number][:_PER_CELL].tolist() for number in np.unique(cell)}
    # By rank within the cell, mistakes first: a cell's first image goes before any other's second.
    ranked = sorted(
        (rank, number // classes == number % classes, number, position)
        for number, positions in own.items()
        for rank, position in enumerate(positions)
    )
    cells: dict[str, list[int]] = {}
    for _, _, number, position in ranked[:_IN_ALL]:
        cells.setdefault("{},{}".format(*divmod(number, classes)), []).append(position)
    return CellImages(cells)


def thumbnails(images: NDArray[np.uint8]) -> list[str]:
    """The addresses of images, uint8 [n, height, width, 3], for a page: at most 96 pixels a side."""
    return [image_source(_small(image)) for image in images]


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if max(image.shape[:2]) <= _LARGEST_SIDE:
        return image
    thumbnail = Image.fromarray(image)
    thumbnail.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(thumbnail)
