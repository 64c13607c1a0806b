"""Augmented views of training images: view k of a sample is a function of (seed, k, sample)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.augmentation.rng import make_rng
from saccade.recipes import Recipe

_SCALE = 0.5


def view_of(
    recipe: Recipe, number: int
) -> tuple[Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.uint8]], str]:
    def view(images, samples):
        height, width = images.shape[1:3]
        out = np.empty_like(images)
        u = make_rng(recipe.seed, number, "augmentation").random((int(samples.max()) + 1, 5))
        for row, sample in enumerate(samples.tolist()):
            a, r, t, l, m = u[sample]
            area, ratio = _SCALE + (1 - _SCALE) * a, np.exp((2 * r - 1) * np.log(4 / 3))
            h, w = min(1, np.sqrt(area / ratio)), min(1, np.sqrt(area * ratio))
            top, left = t * (1 - h) * height, l * (1 - w) * width
            box = (left, top, left + w * width, top + h * height)
            x = np.asarray(Image.fromarray(images[row]).resize((width, height), Image.Resampling.BILINEAR, box=box))
            out[row] = x[:, ::-1] if m < 0.5 else x
        return out

    return view, f"{recipe.seed} {number} {_SCALE}"
