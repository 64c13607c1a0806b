"""Loss of area by fit "crop": the fraction of an image that lies outside of the center crop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Dataset, Preprocessing
from saccade.sanitize import counted, plural

_MAX_LOSS = 0.2  # fraction of the area of an image
_MAX_FRACTION = 0.2  # of the images


def crop_notes(dataset: Dataset) -> tuple[str, ...]:
    """Return a note where more than a fifth of the images lose more than a fifth of their area; else no note."""
    if dataset.preprocessing.fit != "crop":
        return ()
    sizes = np.concatenate([split.sizes for split in dataset.splits.values()])
    cropped = int((crop_loss(sizes, dataset.preprocessing) > _MAX_LOSS).sum())
    if cropped < _MAX_FRACTION * len(sizes):
        return ()
    note = (
        f"{cropped:,} of {counted(len(sizes), 'image')} {plural(cropped, 'loses', 'lose')} more than a fifth of "
        f"{plural(cropped, 'its', 'their')} area, because only the center is used; to use the whole image, train with "
        "--set fit=pad (edges are added) or --set fit=squash (the aspect ratio changes)"
    )
    return (note,)


def crop_loss(sizes: NDArray[np.int32], preprocessing: Preprocessing) -> NDArray[np.float64]:
    """Return the fraction of the area of each image that the center crop cuts off, float64 [n], 0 to 1.

    Args:
        sizes: original heights and widths, array of shape [n, 2], int32.
        preprocessing: height and width of the crop, which give its aspect ratio.
    """
    ratios = sizes / (preprocessing.height, preprocessing.width)
    loss: NDArray[np.float64] = 1 - ratios.min(axis=1) / ratios.max(axis=1)
    return loss
