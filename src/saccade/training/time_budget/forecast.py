"""Forecast of the duration of a training without a time budget, from the durations of its first steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from statistics import median

from saccade.runs.training_state import TrainingState
from saccade.training.time_budget.budget import Work, costs_of_steps, seconds_for

# Steps that are measured: some, or fewer where they are slow.
_STEPS = 8
_SECONDS = 5.0
_MIN_STEPS = 2
# A step takes some time for any number of images, most of it for the update of the weights: with Muon as long as the
# gradient of so many pixels of training images (docs/performance.md). With the other optimizers it hardly counts.
_UPDATE_PIXELS = {"muon": 6900}


class StepForecast:
    """Measurement of the first steps, and the forecast that follows from them.

    The time of a step is taken to be proportional to its pixels, besides the update of the weights, and validation to
    take a third of it, as a forward pass does.

    Args:
        work: the training.
        report: function that is called once, with the seconds to the end of the command.
        clock: function that returns the time, in seconds.
    """

    def __init__(
        self, work: Work, report: Callable[[float], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._work, self._report, self._clock = work, report, clock
        self._update = _UPDATE_PIXELS.get(work.recipe.optimizer, 0)
        self._mark = clock()
        self._first: float | None = None
        self._of_pixel: list[float] = []
        self._measured = 0.0
        self._is_open = True

    def on_pass_begin(self) -> None:
        """Begin to measure at the first step of a pass over the data: not before a head is fitted, or validated."""
        self._mark = self._clock()

    def on_batch_end(self, state: TrainingState, images: int) -> None:
        """Measure a step, and report the forecast if enough steps were measured.

        Args:
            state: state of the training.
            images: number of images in the step.
        """
        if not self._is_open:
            return
        now = self._clock()
        seconds, self._mark = now - self._mark, now
        if self._first is None:
            self._first = seconds  # it traces the graph
            return
        if state.steps == 1:
            return  # it may trace the graph of another image size
        self._of_pixel.append(seconds / (images * self._pixels(state.epoch) + self._update))
        self._measured += seconds
        if len(self._of_pixel) >= (_MIN_STEPS if self._measured >= _SECONDS else _STEPS):
            self._is_open = False
            self._report(self._remaining(state))

    def _remaining(self, state: TrainingState) -> float:
        """Return the seconds from now to the end of the command."""
        work = self._work
        epoch, fraction = state.place(work.recipe.epochs, work.training)
        pixel = median(self._of_pixel)
        step = pixel * (work.batch_size * self._pixels(epoch) + self._update)
        graph = max(0.0, (self._first or 0.0) - step)
        image = pixel * self._update / work.batch_size
        costs = costs_of_steps(work, image=image, pixel=pixel, graph=graph, validated=pixel / 3)
        images = work.recipe.epochs * work.training - state.seen_in_all
        return seconds_for(work, costs, images, epoch + fraction)

    def _pixels(self, epoch: int) -> int:
        return math.prod(self._work.recipe.training_size(epoch, self._work.height, self._work.width))
