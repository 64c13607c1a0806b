"""Which pictures a report page holds, and how small, so that it stays a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.html.render import picture_source
from saccade.runs.predictions import Answers

_PER_CELL = 24
_IN_ALL = 1500
_LARGEST_SIDE = 96


@dataclass(frozen=True)
class CellPictures:
    """Pictures of cells of a confusion matrix.

    Attributes:
        cells: for "true,predicted" the positions of some of its pictures, the most confident first.
    """

    cells: dict[str, list[int]]

    def positions(self) -> NDArray[np.int64]:
        """All of them, each once, ascending; int64."""
        return np.array(sorted({position for own in self.cells.values() for position in own}), np.int64)


def chosen_pictures(answers: Answers, *, most_cells: int) -> CellPictures:
    """Up to 24 pictures of each cell and 1,500 in all, the most confident of each cell.

    Where there are too many, every cell gives up its last ones alike, wrong answers after right ones.

    Args:
        answers: of the run.
        most_cells: with more cells than this, none has pictures.
    """
    classes = answers.probabilities.shape[1]
    if classes**2 > most_cells:
        return CellPictures({})
    predicted, confidences = answers.probabilities.argmax(axis=1), answers.probabilities.max(axis=1)
    order = np.argsort(-confidences, kind="stable")
    cell = answers.labels[order] * classes + predicted[order]
    own = {int(number): order[cell == number][:_PER_CELL].tolist() for number in np.unique(cell)}
    # By rank within the cell, mistakes first: a cell's first picture goes before any other's second.
    ranked = sorted(
        (rank, number // classes == number % classes, number, position)
        for number, positions in own.items()
        for rank, position in enumerate(positions)
    )
    cells: dict[str, list[int]] = {}
    for _, _, number, position in ranked[:_IN_ALL]:
        cells.setdefault("{},{}".format(*divmod(number, classes)), []).append(position)
    return CellPictures(cells)


def thumbnails(pictures: NDArray[np.uint8]) -> list[str]:
    """The addresses of pictures, uint8 [n, height, width, 3], for a page: at most 96 pixels a side."""
    return [picture_source(_small(picture)) for picture in pictures]


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if max(picture.shape[:2]) <= _LARGEST_SIDE:
        return picture
    image = Image.fromarray(picture)
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)
