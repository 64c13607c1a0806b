"""Training batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.augmentation import Augmentation, sample_augmentation
from saccade.augmentation.mixing import sample_mixing
from saccade.augmentation.pixel_operations import apply_pixel_operations
from saccade.augmentation.pixel_parameters import sample_pixel_parameters
from saccade.augmentation.sample_order import epoch_order
from saccade.data.dataset import Split
from saccade.recipes import Sampling


@dataclass(frozen=True)
class Batch:
    """Data of one training step.

    Attributes:
        images: images, uint8 [n, height, width, 3]; or kept outputs of frozen layers, float32 [n, h, w, channels].
        labels: class indices, int64 [n].
        parameters: augmentation parameters, float32 [n, 4] (`AugmentationParameters.as_array`); None in an epoch
            without augmentation.
        mixing: parameters of mixup or CutMix, float32 [4] (`Mixing.as_array`); None in an epoch without these.
    """

    images: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int64]
    parameters: NDArray[np.float32] | None
    mixing: NDArray[np.float32] | None = None


def epoch_batches(
    split: Split,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    augmentation: Augmentation | None,
    sampling: Sampling = "shuffled",
    seen: int = 0,
) -> Iterator[Batch]:
    """Yield the batches of one epoch: order and augmentation are functions of (seed, epoch, sample index).

    A balanced epoch may have a sample several times. There the augmentation is a function of (seed, epoch, position in
    the epoch), so that each repetition of a sample is augmented differently.

    Args:
        split: training split.
        batch_size: number of images in a batch; the last batch has the remaining images.
        seed: seed of the training.
        epoch: epoch, counted from 0.
        augmentation: ranges of the augmentation; None: no augmentation.
        sampling: "shuffled" for each sample once, "balanced" for each class equally often, see `balanced_order`.
        seen: number of samples to skip, because earlier batches of the epoch had them.
    """
    n, size = len(split), split.store.shape[1:3]
    order = epoch_order(split.labels, sampling, seed=seed, epoch=epoch)
    rows = np.arange(n) if sampling == "balanced" else order
    batches = [order[start : start + batch_size] for start in range(seen, n, batch_size)]
    if augmentation is None:
        for samples, images in zip(batches, split.batches(batches), strict=True):
            yield Batch(images, split.labels[samples], None)
        return
    parameters = sample_augmentation(augmentation, n, size, seed=seed, epoch=epoch).as_array()
    pixel_parameters = (
        sample_pixel_parameters(augmentation, np.arange(n), size, seed=seed, epoch=epoch)
        if augmentation.changes_pixels
        else None
    )
    for start, samples, taken in zip(range(seen, n, batch_size), batches, split.batches(batches), strict=True):
        drawn = rows[start : start + batch_size]
        images = taken if pixel_parameters is None else apply_pixel_operations(taken, pixel_parameters.take(drawn))
        mixing = sample_mixing(augmentation, seed=seed, epoch=epoch, position=start)
        yield Batch(
            images, split.labels[samples], parameters[drawn], mixing=None if mixing is None else mixing.as_array()
        )
