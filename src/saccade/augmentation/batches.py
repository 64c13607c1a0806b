"""The batches of an epoch, from a split: what the training loop draws on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.augmentation import Augmentation, sample_augmentation
from saccade.augmentation.rng import sample_order
from saccade.data.dataset import Split


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes:
        images: uint8 [n, height, width, 3].
        labels: int64 [n].
        parameters: float32 [n, 4], how to move each image (`Moves.parameters`); None in an epoch without augmentation.
    """

    images: NDArray[np.uint8]
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
    """The batches of one epoch: every sample once, in an order and moved in a way given by (seed, epoch, sample index).

    Args:
        split: the training images.
        batch_size: images in a batch; the last batch holds what is left.
        seed: of the training.
        epoch: counted from 0.
        augmentation: the ranges of the moves, or None.
        seen: samples that are left away at the beginning: those of batches that were done before.
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
