"""Step of the first worker, which has the state of the training: it computes its part and adds those of the others."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.batches import Batch, BatchPosition, Part
from saccade.runs.checkpoints import Arrays
from saccade.runs.run import Run
from saccade.training.parallel.part_step import PartResult, PartStep
from saccade.training.step import StepResult


class HelpersLostError(Exception):
    """A helper ended or was not reached; all of them have to be loaded again. The message names the cause."""


@dataclass(frozen=True, eq=False)
class PartRequest:
    """Request for the gradient of the helpers' parts of a batch.

    Attributes:
        recipe_epoch: epoch of the recipe, which sets the image size and the trained variables.
        position: position of the batch.
        augmented: whether its images are augmented.
        random_states: states of the random numbers of dropout of the first worker, before the step.
    """

    recipe_epoch: int
    position: BatchPosition
    augmented: bool
    random_states: Sequence[NDArray[np.generic]]


class Helpers(Protocol):
    """The workers besides the first one. Each call goes to all helpers, which do the calls in their order.

    `HelpersLostError` may be raised by each call that does not say otherwise.
    """

    @property
    def count(self) -> int:
        """Number of helpers."""
        ...

    def load(self, arrays: Mapping[str, Arrays]) -> None:
        """Set all variables of network and optimizer. Does not wait."""
        ...

    def compute_outputs(self) -> None:
        """Compute the outputs of frozen layers, each helper its share of them first. Does not wait."""
        ...

    def begin(self, request: PartRequest) -> None:
        """Begin to compute the gradients of the parts. Does not wait."""
        ...

    def results(self) -> list[PartResult | None]:
        """Wait for the gradients, and return them in the order of the ranks; None for a part without images."""
        ...

    def apply(self, vector: NDArray[np.floating[Any]], learning_rate: float) -> None:
        """Update the weights by the sum of all vectors. Does not wait, and raises no `HelpersLostError`."""
        ...

    def restart(self, reason: str) -> None:
        """Wait until all helpers run again, after one was lost; their variables are not loaded yet.

        Raises:
            SaccadeError: they don't.
        """
        ...


class Workers(Protocol):
    """Workers that can be started for a run."""

    @property
    def count(self) -> int:
        """Number of workers, with the first one."""
        ...

    def helping(self, run: Run) -> AbstractContextManager[Helpers | None]:
        """Start the helpers of a run, and end them with the block; None where the first worker is alone."""
        ...


class ParallelStep:
    """Gradient descent on the mean cross-entropy by several workers, one step per call.

    The batch is divided into consecutive parts. Each worker normalizes its part by the statistics of this part, as
    replicas of `tf.distribute` do without synchronized batch normalization; the moving averages of all workers are
    averaged. The gradients of the parts are added in the order of the ranks, so that the sum has the same bits in each
    repetition. If a helper is lost, all helpers are loaded with the state before the step, and the step is repeated.

    Args:
        own: step of the first worker.
        helpers: the other workers.
    """

    def __init__(self, own: PartStep, helpers: Helpers) -> None:
        self._own, self._helpers = own, helpers
        self._recipe_epoch = 0
        self._loaded: int | None = None  # epoch of the batches for which the helpers were last loaded
        self._waited = 0.0

    @property
    def part(self) -> Part:
        """Part of each batch that this worker computes."""
        return Part(0, self._helpers.count + 1)

    def take_exchange_seconds(self) -> float:
        """Return the seconds since the last call in which this worker waited for vectors, added and sent them."""
        waited, self._waited = self._waited, 0.0
        return waited

    def begin_epoch(self, epoch: int) -> None:
        """Set the image size and the trained variables of the following steps to those of an epoch, counted from 0."""
        self._own.begin_epoch(epoch)
        self._recipe_epoch = epoch

    def compute_outputs(self) -> None:
        """Let the helpers compute the outputs of frozen layers, by the present weights; does not wait for them."""
        self._helpers.load(self._own.arrays())
        self._helpers.compute_outputs()

    def __call__(self, batch: Batch, learning_rate: float) -> StepResult:
        """Run one step.

        Args:
            batch: this worker's part of the batch, with its position.
            learning_rate: learning rate of the step.
        """
        if batch.position is None:
            raise ValueError("a batch without a position can't be divided among workers")
        states, averages = self._own.random_states(), self._own.moving_averages()
        request = PartRequest(self._recipe_epoch, batch.position, batch.parameters is not None, states)
        own: PartResult | None = None
        others: list[PartResult | None] | None = None
        lost, began = "", 0.0
        while own is None or others is None:
            try:
                if lost:
                    self._helpers.restart(lost)
                if lost or self._loaded != batch.position.epoch:
                    # The state before the step; the update below sets the moving averages of this worker again.
                    self._own.set_moving_averages(averages)
                    self._helpers.load(self._own.arrays())
                    self._loaded = batch.position.epoch
                self._helpers.begin(request)
                if own is None:
                    own = self._own.gradient(batch, batch.position.size)
                    began = time.perf_counter()
                others = self._helpers.results()
            except HelpersLostError as error:
                lost = str(error)
        parts = [own, *(part for part in others if part is not None)]
        total = parts[0].vector.copy()
        for part in parts[1:]:
            total += part.vector
        # Sent first: the helpers make their update while this worker makes its own.
        self._helpers.apply(total, learning_rate)
        self._waited += time.perf_counter() - began
        self._own.apply(total, learning_rate)
        return StepResult(sum(part.loss for part in parts), sum(part.correct for part in parts))
