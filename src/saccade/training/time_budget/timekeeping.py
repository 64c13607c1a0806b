"""Keeps a training to its end time, by planning the rest of it anew where the machine is faster or slower than it was.

The learning rate, the sizes of the images and the phases go by the part of the recipe that is done. A new plan
changes how many images the part that is left takes, and nothing that lies behind: so the learning rate goes on from
where it is, and reaches the recipe's end when the time does.
"""

from __future__ import annotations

from collections.abc import Callable

from saccade.runs.time_budget_state import Costs, Plan, Replan
from saccade.runs.training_state import TrainingState
from saccade.training.progress import Progress
from saccade.training.time_budget.budget import (
    Work,
    replanned,
    reserve,
    seconds_after,
    step_seconds,
    tolerance,
    validated_seconds,
)

# How often the rest is looked at: in seconds, and as a part of the budget; the longer of the two.
_LOOK_SECONDS = 2.0
_LOOK_FRACTION = 0.02
# What the latest look counts in the slowness, beside those before; and the latest graph among graphs.
_LATEST = 0.3
_LATEST_GRAPH = 0.5
# Below this part of what a graph took before the training none was made: most networks learn alike from first to last.
_LEAST_GRAPH = 0.2
# A change by less than this part of all images is kept in plan.json alone.
_REPORTED_FRACTION = 0.1


class Timekeeping:
    """Plans of one training within a time budget.

    Args:
        work: what is trained.
        plan: the plan in force.
        spent: gives the seconds of the budget that are gone.
        progress: is told of changes.
    """

    def __init__(self, work: Work, plan: Plan, spent: Callable[[], float], progress: Progress) -> None:
        self._work, self._plan, self._spent, self._progress = work, plan, spent, progress
        self._end = 60 * plan.minutes - reserve(plan.minutes)
        self._every = max(_LOOK_SECONDS, _LOOK_FRACTION * 60 * plan.minutes)
        self._slowness, self._making, self._closing = 1.0, 1.0, plan.costs.closing
        self._measured = self._expected = 0.0
        self._measured_in_all = self._expected_in_all = 0.0
        self._graph: object = None
        self._opened = False
        self._mark = spent()

    def begun(self) -> TrainingState:
        """The state of a training by this plan, before its first step."""
        self._mark = self._spent()
        return TrainingState(plan=self._plan, spent=self._mark)

    def on_batch_end(self, state: TrainingState, images: int) -> None:
        """Takes a step over so many images into account, and plans the rest anew where that is needed."""
        now = state.spent = self._spent()
        if state.plan is None or state.seen_in_all >= state.plan.pace.end:
            self._mark = now
            return
        self._measure(state, images, now - self._mark)
        self._mark = now
        look = self._measured >= self._every
        if look:
            self._slowness += _LATEST * (self._measured / self._expected - self._slowness)
            self._measured_in_all += self._measured
            self._expected_in_all += self._expected
            self._measured = self._expected = 0.0
        if look or self._end - now < seconds_after(self._work, self._costs_now(state.plan)):
            self._plan_anew(state, state.plan, now)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Takes the end of a pass over the data into account: validation, history."""
        now = state.spent = self._spent()
        seconds, self._mark = now - self._mark, now
        if state.plan is None:
            return
        if self._opened:
            validation = self._work.validation * validated_seconds(self._work, self._costs_now(state.plan))
            self._closing = max(0.0, seconds - validation)
        self._opened = True  # in the first of them the network for validation was opened: no measure of the others
        if state.seen_in_all < state.plan.pace.end:
            self._plan_anew(state, state.plan, now)

    def _measure(self, state: TrainingState, images: int, seconds: float) -> None:
        """Adds the step that has ended to what is measured, or the graph that was made in it."""
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
            making = max(0.0, seconds - self._slowness * expected) / costs.graph
            if making > _LEAST_GRAPH:
                self._making += _LATEST_GRAPH * (making - self._making)
        self._graph = graph

    def _costs_now(self, plan: Plan) -> Costs:
        """Steps as slow as of late; saving, which is making graphs, as slow as graphs were.

        Looking at images at the end is half as slow as steps of late, half as in the training as a whole, and not
        faster than was measured: a moment in which nobody else works does not last.
        """
        in_all = self._measured_in_all / self._expected_in_all if self._expected_in_all else 1.0
        now, made = plan.costs.times(self._slowness), plan.costs.times(self._making)
        looked = plan.costs.times(max(1.0, (self._slowness + in_all) / 2))
        changes = {"image": now.image, "pixel": now.pixel, "validated": looked.validated, "closing": self._closing}
        return made.model_copy(update=changes)

    def _plan_anew(self, state: TrainingState, plan: Plan, now: float) -> None:
        seen, costs = state.seen_in_all, self._costs_now(plan)
        left, missed_by = self._end - now, tolerance(plan.minutes)
        pace = replanned(self._work, costs, plan.pace, seen, left, tolerance=missed_by)
        if pace is None:
            return
        before, after = plan.pace.end - seen, pace.end - seen
        state.plan = plan.changed(Replan(step=state.step, spent=now, slowness=self._slowness, pace=pace))
        if abs(after - before) > _REPORTED_FRACTION * plan.pace.end:
            self._progress.on_plan(f"the rest is planned anew: {after:,} images instead of {before:,}")
