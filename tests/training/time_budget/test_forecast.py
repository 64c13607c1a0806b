import math

import pytest

from saccade.recipes import get_recipe
from saccade.runs.training_state import TrainingState
from saccade.training.time_budget.budget import Work
from saccade.training.time_budget.forecast import StepForecast

PIXEL = 2e-6  # seconds
GRAPH = 4.0
VALIDATION = 100.0
HEAD = 500.0  # a head is fitted before the first step


class Machine:
    """A machine with a given speed, on which a training runs."""

    def __init__(self, work: Work, pixel: float = PIXEL, update: float = 0.0) -> None:
        self.now = 0.0
        self.reported: list[tuple[float, int]] = []
        self.steps = 0
        self._work, self._pixel, self._update = work, pixel, update
        self._forecast = StepForecast(
            work, lambda seconds: self.reported.append((seconds, self.steps)), clock=lambda: self.now
        )

    def train(self) -> float:
        """Run all steps; return the time after the last one."""
        work, state, traced = self._work, TrainingState(), None
        for epoch in range(work.recipe.epochs):
            state.epoch, state.seen, state.steps = epoch, 0, 0
            size = work.recipe.training_size(epoch, work.height, work.width)
            self.now += HEAD if epoch == 0 else 0.0
            self._forecast.on_pass_begin()
            while state.seen < work.training:
                n = min(work.batch_size, work.training - state.seen)
                self.now += n * self._pixel * math.prod(size) + self._update + (GRAPH if size != traced else 0.0)
                traced = size
                state.seen, state.steps, self.steps = state.seen + n, state.steps + 1, self.steps + 1
                self._forecast.on_batch_end(state, n)
            state.timings.append((0.0, work.training))
            self.now += VALIDATION
        return self.now


@pytest.mark.parametrize("name", ["fast", "two-phase", "quick"])
def test_the_forecast_is_near_the_time_that_the_steps_take(name):
    work = Work(get_recipe(name), 32, 32, training=45_000, validation=0)
    machine = Machine(work)
    machine_end = machine.train() - VALIDATION * work.recipe.epochs - HEAD
    ((forecast, steps),) = machine.reported
    assert 2 < steps <= 10
    # Saving and the recalibration of statistics come after the steps.
    assert machine_end * 0.95 < forecast < machine_end * 1.15 + 10


def test_the_update_of_the_weights_does_not_grow_with_the_images():
    """Steps of `fast` on 25 images, as two cores of a Zen 3 take them: at 16x16 pixels half of a step is the update."""
    work = Work(get_recipe("fast").with_epochs(40), 32, 32, training=1_279, validation=0)
    assert work.batch_size == 25
    machine = Machine(work, pixel=4.44e-6, update=0.0306)
    machine_end = machine.train() - VALIDATION * work.recipe.epochs - HEAD
    ((forecast, _),) = machine.reported
    assert machine_end * 0.95 < forecast < machine_end * 1.15 + 10


def test_slow_steps_are_enough_after_a_few_of_them():
    machine = Machine(Work(get_recipe("fast"), 32, 32, training=45_000, validation=5_000), pixel=1e-4)
    machine.train()
    ((_, steps),) = machine.reported
    assert steps == 3


def test_the_validation_between_short_epochs_is_no_part_of_a_step():
    recipe = get_recipe("quick").with_settings({"min_steps_per_epoch": 0, "batch_size": 50})
    machine = Machine(Work(recipe, 32, 32, training=200, validation=0))
    end = machine.train()
    ((forecast, steps),) = machine.reported
    assert steps > 8
    # Graphs and saving take most of it; with the 100 s of each validation it would be hundreds.
    assert 0 < forecast < 30 < end


def test_a_training_of_few_steps_has_no_forecast():
    machine = Machine(Work(get_recipe("quick").with_epochs(1), 32, 32, training=100, validation=0))
    machine.train()
    assert not machine.reported
