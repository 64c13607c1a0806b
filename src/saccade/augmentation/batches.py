"""Training batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.augmentation import Augmentation, sample_augmentation
from saccade.augmentation.sample_order import sample_order
from saccade.data.dataset import Split


@dataclass(frozen=True)
class Batch:
    """Data of one training step.

    Attributes:
        images: images, uint8 [n, height, width, 3]; or kept outputs of frozen layers, float16 [n, h, w, channels].
        labels: class indices, int64 [n].
        parameters: augmentation parameters, float32 [n, 4] (`AugmentationParameters.as_array`); None in an epoch
            without augmentation.
    """

    images: NDArray[np.uint8] | NDArray[np.float16]
    labels: NDArray[np.int64]
    parameters: NDArray[np.float32] | None


def epoch_batches(
    split: Split,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    augmentation: Augmentation | None,
    seen: int = 0,
) -> Iterator[Batch]:
    """Yield the batches of one epoch: each sample once, order and augmentation by (seed, epoch, sample index).

    Args:
        split: training split.
        batch_size: number of images in a batch; the last batch has the remaining images.
        seed: seed of the training.
        epoch: epoch, counted from 0.
        augmentation: ranges of the augmentation; None: no augmentation.
        seen: number of samples to skip, because earlier batches of the epoch had them.
    """
    order = sample_order(len(split), seed=seed, epoch=epoch)
    parameters = None
    if augmentation is not None:
        parameters = sample_augmentation(
            augmentation, len(split), split.store.shape[1:3], seed=seed, epoch=epoch
        ).as_array()
    for start in range(seen, len(order), batch_size):
        samples = order[start : start + batch_size]
        yield Batch(split.take(samples), split.labels[samples], None if parameters is None else parameters[samples])
