"""The batches of an epoch, from a split: what the training loop draws on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.pipeline.augmentation import Augmentation, affine_maps, draw_moves
from saccade.pipeline.order import sample_order


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes:
        pictures: uint8 [n, height, width, 3].
        labels: int64 [n].
        maps: float32 [n, 8], how to move each picture; None in an epoch without augmentation.
    """

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]
    maps: NDArray[np.float32] | None


def steps_in_epoch(n: int, batch_size: int) -> int:
    """The number of batches; the last one may be smaller."""
    return -(-n // batch_size)


def epoch_batches(
    split: Split, *, batch_size: int, seed: int, epoch: int, augmentation: Augmentation | None
) -> Iterator[Batch]:
    """The batches of one epoch: every sample once, in an order and moved in a way given by (seed, epoch, sample index).

    Args:
        split: the training pictures.
        batch_size: pictures in a batch; the last batch holds what is left.
        seed: of the training.
        epoch: counted from 0.
        augmentation: the ranges of the moves, or None.
    """
    order = sample_order(len(split), seed=seed, epoch=epoch)
    maps = None
    if augmentation is not None:
        size = split.store.shape[1:3]
        maps = affine_maps(draw_moves(augmentation, len(split), size, seed=seed, epoch=epoch), size)
    for start in range(0, len(order), batch_size):
        samples = order[start : start + batch_size]
        yield Batch(split.take(samples), split.labels[samples], None if maps is None else maps[samples])
