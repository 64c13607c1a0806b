"""Timekeeping of a training within a time budget: new plans when the speed of the machine changes.

Learning rate, image size and phase are functions of the position in the recipe. A new plan changes only the number of
images for the remaining part of the recipe. So the learning rate has no jump, and reaches its final value at the end of
the budget.
"""

from __future__ import annotations

from collections.abc import Callable

from saccade.runs.time_budget_state import Costs, Plan, Replan
from saccade.runs.training_state import TrainingState
from saccade.training.progress import Progress
from saccade.training.time_budget.budget import (
    Work,
    replan,
    reserve,
    seconds_after,
    step_seconds,
    tolerance,
    validated_seconds,
)

# Interval of the measurements: the longer of these seconds and this fraction of the budget.
_INTERVAL_SECONDS = 2.0
_INTERVAL_FRACTION = 0.02
# Weights of the latest measurement in the moving averages of the slowness of steps and of graphs.
_STEP_WEIGHT = 0.3
_GRAPH_WEIGHT = 0.5
# A step that takes less than this fraction of the expected time for a graph did not trace a new graph.
_MIN_GRAPH_FRACTION = 0.2
# A change by less than this fraction of all images is written to plan.json, but not reported.
_REPORTED_FRACTION = 0.1


class Timekeeping:
    """Plans of one training within a time budget.

    Args:
        work: the training.
        plan: current plan.
        spent: function that returns the seconds of the budget that have passed.
        progress: callbacks; `on_plan` is called with changes of the plan.
    """

    def __init__(self, work: Work, plan: Plan, spent: Callable[[], float], progress: Progress) -> None:
        self._work, self._plan, self._spent, self._progress = work, plan, spent, progress
        self._end = 60 * plan.minutes - reserve(plan.minutes)
        self._interval = max(_INTERVAL_SECONDS, _INTERVAL_FRACTION * 60 * plan.minutes)
        self._slowness, self._graph_slowness, self._closing = 1.0, 1.0, plan.costs.closing
        self._measured = self._expected = 0.0
        self._total_measured = self._total_expected = 0.0
        self._graph: object = None
        self._validated_before = False
        self._mark = spent()

    def initial_state(self) -> TrainingState:
        """Return the state of a training by the plan, before its first step."""
        self._mark = self._spent()
        return TrainingState(plan=self._plan, spent=self._mark)

    def on_batch_end(self, state: TrainingState, images: int) -> None:
        """Measure a step, and change the plan if necessary.

        Args:
            state: state of the training, whose plan is updated.
            images: number of images in the step.
        """
        now = state.spent = self._spent()
        if state.plan is None or state.seen_in_all >= state.plan.pace.end:
            self._mark = now
            return
        self._measure(state, images, now - self._mark)
        self._mark = now
        interval_ended = self._measured >= self._interval
        if interval_ended:
            self._slowness += _STEP_WEIGHT * (self._measured / self._expected - self._slowness)
            self._total_measured += self._measured
            self._total_expected += self._expected
            self._measured = self._expected = 0.0
        if interval_ended or self._end - now < seconds_after(self._work, self._costs_now(state.plan)):
            self._replan(state, state.plan, now)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Measure the end of a pass over the data, with validation and history, and change the plan if necessary."""
        now = state.spent = self._spent()
        seconds, self._mark = now - self._mark, now
        if state.plan is None:
            return
        if self._validated_before:
            validation = self._work.validation * validated_seconds(self._work, self._costs_now(state.plan))
            self._closing = max(0.0, seconds - validation)
        self._validated_before = True  # the first validation is not representative: it traces the validation graph
        if state.seen_in_all < state.plan.pace.end:
            self._replan(state, state.plan, now)

    def _measure(self, state: TrainingState, images: int, seconds: float) -> None:
        """Add a step to the measurements: its duration, or the duration of tracing a graph in it."""
        work = self._work
        if state.plan is None:
            return
        costs = state.plan.costs
        epoch, _ = state.plan.pace.place_at(state.seen_in_all - images, work.recipe.epochs)
        size, phase = work.recipe.training_size(epoch, work.height, work.width), work.recipe.phase(state.began[0])
        graph = (size, phase, work.recipe.is_early(epoch))
        expected = images * step_seconds(work, costs, epoch)
        if graph == self._graph:
            self._measured += seconds
            self._expected += expected
        elif costs.graph:
            slowness = max(0.0, seconds - self._slowness * expected) / costs.graph
            if slowness > _MIN_GRAPH_FRACTION:
                self._graph_slowness += _GRAPH_WEIGHT * (slowness - self._graph_slowness)
        self._graph = graph

    def _costs_now(self, plan: Plan) -> Costs:
        """Return the measured costs, scaled by the slowness of steps and, for graphs and saving, of graphs.

        The slowness of validation is the mean of the recent slowness of steps and of their slowness in the whole
        training, and at least 1, because an idle moment of the machine does not last.
        """
        whole_training = self._total_measured / self._total_expected if self._total_expected else 1.0
        steps, graphs = plan.costs.times(self._slowness), plan.costs.times(self._graph_slowness)
        validation = plan.costs.times(max(1.0, (self._slowness + whole_training) / 2))
        changes = {
            "image": steps.image,
            "pixel": steps.pixel,
            "validated": validation.validated,
            "closing": self._closing,
        }
        return graphs.model_copy(update=changes)

    def _replan(self, state: TrainingState, plan: Plan, now: float) -> None:
        seen, costs = state.seen_in_all, self._costs_now(plan)
        pace = replan(
            self._work, costs, plan.pace, seen, self._end - now, tolerance=tolerance(self._work, plan.minutes)
        )
        if pace is None:
            return
        before, after = plan.pace.end - seen, pace.end - seen
        state.plan = plan.changed(Replan(step=state.step, spent=now, slowness=self._slowness, pace=pace))
        if abs(after - before) > _REPORTED_FRACTION * plan.pace.end:
            self._progress.on_plan(f"new plan for the rest: {after:,} images instead of {before:,}")
        if pace.end == self._work.max_images > plan.pace.end:
            self._progress.on_plan(self._work.note_of_largest)
