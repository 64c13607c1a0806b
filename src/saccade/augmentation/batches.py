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
class Part:
    """Part of each batch that one worker of a training computes: consecutive samples.

    Attributes:
        rank: number of the worker, from 0.
        workers: number of workers.
    """

    rank: int
    workers: int

    def of(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this part of the samples of a batch. The first worker has samples of every batch, however small."""
        start, stop = (-(-len(samples) * rank // self.workers) for rank in (self.rank, self.rank + 1))
        return samples[start:stop]


WHOLE = Part(0, 1)
"""Part of the only worker: the whole batch."""


@dataclass(frozen=True)
class BatchPosition:
    """Position of a batch in the training.

    Attributes:
        epoch: epoch, counted from 0.
        start: number of samples in the batches before it in the epoch.
        size: number of samples of the batch, of all workers together.
    """

    epoch: int
    start: int
    size: int


@dataclass(frozen=True)
class Batch:
    """Data of one training step, or one worker's part of it.

    Attributes:
        images: images, uint8 [n, height, width, 3]; or kept outputs of frozen layers, float32 [n, h, w, channels].
        labels: class indices, int64 [n].
        parameters: augmentation parameters, float32 [n, 4] (`AugmentationParameters.as_array`); None in an epoch
            without augmentation.
        mixing: parameters of mixup or CutMix, float32 [4] (`Mixing.as_array`); None in an epoch without these.
        position: position of the batch in the training; None for a batch that is in none.
    """

    images: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int64]
    parameters: NDArray[np.float32] | None
    mixing: NDArray[np.float32] | None = None
    position: BatchPosition | None = None


def epoch_batches(
    split: Split,
    first: BatchPosition,
    *,
    seed: int,
    augmentation: Augmentation | None,
    sampling: Sampling = "shuffled",
    part: Part = WHOLE,
) -> Iterator[Batch]:
    """Yield the batches of one epoch: order and augmentation are functions of (seed, epoch, sample index).

    A balanced epoch may have a sample several times. There the augmentation is a function of (seed, epoch, position in
    the epoch), so that each repetition of a sample is augmented differently.

    Args:
        split: training split.
        first: position of the first batch to yield; the last batch has the remaining images.
        seed: seed of the training.
        augmentation: ranges of the augmentation; None: no augmentation.
        sampling: "shuffled" for each sample once, "balanced" for each class equally often, see `balanced_order`.
        part: part of each batch to yield; parameters are those that the samples have in the whole batch.
    """
    n, size = len(split), split.store.shape[1:3]
    epoch, batch_size = first.epoch, first.size
    order = epoch_order(split.labels, sampling, seed=seed, epoch=epoch)
    rows = np.arange(n) if sampling == "balanced" else order
    starts = range(first.start, n, batch_size)
    batches = [part.of(order[start : start + batch_size]) for start in starts]
    positions = [BatchPosition(epoch, start, min(batch_size, n - start)) for start in starts]
    if augmentation is None:
        for position, samples, images in zip(positions, batches, split.batches(batches), strict=True):
            yield Batch(images, split.labels[samples], None, position=position)
        return
    parameters = sample_augmentation(augmentation, n, size, seed=seed, epoch=epoch).as_array()
    pixel_parameters = (
        sample_pixel_parameters(augmentation, np.arange(n), size, seed=seed, epoch=epoch)
        if augmentation.changes_pixels
        else None
    )
    for position, samples, taken in zip(positions, batches, split.batches(batches), strict=True):
        start = position.start
        drawn = part.of(rows[start : start + batch_size])
        images = taken if pixel_parameters is None else apply_pixel_operations(taken, pixel_parameters.take(drawn))
        mixing = sample_mixing(augmentation, seed=seed, epoch=epoch, position=start)
        yield Batch(
            images,
            split.labels[samples],
            parameters[drawn],
            mixing=None if mixing is None else mixing.as_array(),
            position=position,
        )
