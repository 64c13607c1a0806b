"""Handwritten digits bundled with scikit-learn: 1,797 scans of 8x8 pixels, available without a network.

The images are the test split of Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
"""

from __future__ import annotations

import numpy as np

from saccade.data.dataset import Dataset, Preprocessing
from saccade.data.image_size import PreprocessingOptions
from saccade.data.sources.array_dataset import LabeledArray, load_array

_MAX_VALUE = 16  # each value is the number of dark points in a block of 4x4 points


def load_digits(preprocessing: Preprocessing | PreprocessingOptions) -> Dataset:
    """Load the digits, with the classes "0" to "9"; the default size is 32x32 pixels."""
    return load_array("digits", (8, 8), _read, preprocessing)


def _read() -> LabeledArray:
    from sklearn.datasets import load_digits as bundled_digits

    bundled = bundled_digits()
    gray = np.round(bundled.images * (255 / _MAX_VALUE)).astype(np.uint8)
    count = len(gray)
    return LabeledArray(
        images=np.repeat(gray[:, :, :, None], 3, axis=3),
        labels=[int(label) for label in bundled.target],
        splits=["train"] * count,
        names=[str(number) for number in range(count)],
        class_names=[str(digit) for digit in range(10)],
        mode="L",
    )
