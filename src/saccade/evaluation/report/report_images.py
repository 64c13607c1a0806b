"""Images of a report page: their selection and their thumbnails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.html.render import image_source
from saccade.runs.predictions import Predictions

_MAX_PER_CELL = 24
_MAX_IMAGES = 1500
_LARGEST_SIDE = 96


@dataclass(frozen=True)
class CellImages:
    """Selected images of the cells of a confusion matrix.

    Attributes:
        cells: positions of the selected images by cell, in descending confidence; the keys are "true,predicted".
    """

    cells: dict[str, list[int]]

    def positions(self) -> NDArray[np.int64]:
        """Return the positions of all selected images, ascending, int64."""
        return np.array(sorted({position for cell in self.cells.values() for position in cell}), np.int64)


def select_cell_images(predictions: Predictions, *, max_cells: int) -> CellImages:
    """Select the most confident images of each cell: at most 24 per cell and 1,500 in total.

    Above 1,500 images, images of higher rank within their cells are selected first, and among images of equal rank
    incorrect predictions are selected first.

    Args:
        predictions: predictions of the run.
        max_cells: maximum number of cells; a larger matrix has no images.
    """
    classes = predictions.probabilities.shape[1]
    if classes**2 > max_cells:
        return CellImages({})
    predicted, confidences = predictions.probabilities.argmax(axis=1), predictions.probabilities.max(axis=1)
    order = np.argsort(-confidences, kind="stable")
    cell = predictions.labels[order] * classes + predicted[order]
    of_cell = {int(number): order[cell == number][:_MAX_PER_CELL].tolist() for number in np.unique(cell)}
    # False sorts before True, so that incorrect predictions come first.
    ranked = sorted(
        (rank, number // classes == number % classes, number, position)
        for number, positions in of_cell.items()
        for rank, position in enumerate(positions)
    )
    cells: dict[str, list[int]] = {}
    for _, _, number, position in ranked[:_MAX_IMAGES]:
        cells.setdefault("{},{}".format(*divmod(number, classes)), []).append(position)
    return CellImages(cells)


def thumbnails(images: NDArray[np.uint8]) -> list[str]:
    """Return images, uint8 [n, height, width, 3], as data URLs of thumbnails of at most 96 pixels a side."""
    return [image_source(_thumbnail(image)) for image in images]


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if max(image.shape[:2]) <= _LARGEST_SIDE:
        return image
    thumbnail = Image.fromarray(image)
    thumbnail.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(thumbnail)
