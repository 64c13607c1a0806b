"""Replica of a training, of a worker besides the first one: it has the same variables, and computes its own part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.batches import Batch, Part, epoch_batches
from saccade.data.dataset import Split, SplitName
from saccade.runs.checkpoints import Arrays
from saccade.runs.run import Run
from saccade.training.class_weights import balanced_class_weights
from saccade.training.interrupt import StopRequest
from saccade.training.optimizers.build import build_optimizer
from saccade.training.parallel.parallel_step import PartRequest
from saccade.training.parallel.part_step import PartResult, PartStep
from saccade.training.progress import Progress
from saccade.training.transfer_learning.upper_training import UpperTraining


class Replica:
    """Replica of a training.

    Args:
        trained: training model of the recipe; its weights are replaced.
        validated: stock model from pixels to probabilities; its weights are replaced.
        run: run with the recipe.
        splits: splits "train" and "validation" of the run.
        part: part of each batch that this worker computes.
    """

    def __init__(
        self,
        trained: keras.Model,
        validated: keras.Model,
        run: Run,
        splits: Mapping[SplitName, Split],
        part: Part,
    ) -> None:
        self._recipe, self._training, self._part = run.recipe, splits["train"], part
        self._batch_size = run.recipe.batch_size_for(len(self._training))
        self._upper: UpperTraining | None = None
        if run.recipe.keeps_outputs:
            self._upper = UpperTraining(trained, validated, run, splits, Progress(), StopRequest())
        optimizer = build_optimizer(run.recipe, self._batch_size)
        self._step = part_step(trained, run, self._training, self._upper, optimizer)
        # Batches from a position on, and the key of the next one.
        self._batches: Iterator[Batch] = iter(())
        self._next: tuple[int, int, bool] | None = None

    def load(self, arrays: Mapping[str, Arrays]) -> None:
        """Set all variables of network and optimizer."""
        self._step.load(arrays)

    def compute_outputs(self) -> None:
        """Compute the outputs of frozen layers by the present weights, this worker's share of them first."""
        if self._upper is not None:
            self._upper.compute_outputs(self._part)

    def compute(self, request: PartRequest) -> PartResult | None:
        """Compute the gradient of this worker's part of a batch; None for a part without images."""
        batch = self._batch(request)
        self._step.begin_epoch(request.recipe_epoch)  # the update that follows needs it too
        if not len(batch.labels):
            return None
        self._step.set_random_states(request.random_states, self._part.rank)
        return self._step.gradient(batch, request.position.size)

    def apply(self, vector: NDArray[np.floating[Any]], learning_rate: float) -> None:
        """Update the weights by the sum of the vectors of all workers."""
        self._step.apply(vector, learning_rate)

    def _batch(self, request: PartRequest) -> Batch:
        """Return the part of the batch; batches that follow each other are read ahead."""
        position = request.position
        key = (position.epoch, position.start, request.augmented)
        if key != self._next:
            self._batches = self._from(request)
        batch = next(self._batches)
        self._next = (position.epoch, position.start + position.size, request.augmented)
        return batch

    def _from(self, request: PartRequest) -> Iterator[Batch]:
        recipe = self._recipe
        first = replace(request.position, size=self._batch_size)
        if self._upper is not None:
            self.compute_outputs()
            return self._upper.batches(first, self._part)
        return epoch_batches(
            self._training,
            first,
            seed=recipe.seed,
            augmentation=Augmentation.of(recipe) if request.augmented else None,
            sampling=recipe.sampling,
            part=self._part,
        )


def part_step(
    trained: keras.Model,
    run: Run,
    training: Split,
    upper: UpperTraining | None,
    optimizer: keras.optimizers.Optimizer,
) -> PartStep:
    """Return a worker's step of a training.

    Args:
        trained: training model.
        run: run with the recipe.
        training: training split.
        upper: training of the upper layers on kept outputs; None where the steps train on pixels.
        optimizer: optimizer, not built yet.
    """
    recipe = run.recipe
    return PartStep(
        trained,
        recipe,
        optimizer,
        training.store.shape[1:3],
        balanced_class_weights(training, len(run.class_names)) if recipe.class_weights else None,
        None if upper is None else upper.network,
    )
