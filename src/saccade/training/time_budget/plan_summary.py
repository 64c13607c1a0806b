"""Summary of the plan of a training within a time budget."""

from __future__ import annotations

from saccade.runs.time_budget_state import Costs, Pace
from saccade.training.time_budget.budget import (
    MAX_PASSES,
    Work,
    min_useful_images,
    seconds_after,
    seconds_for,
)


def summarize_plan(
    work: Work, costs: Costs, pace: Pace, *, sizes_are_free: bool, minutes: float, spent: float, until: str
) -> tuple[str, ...]:
    """Return the lines of the summary: the plan, its times, and the reason for the image size.

    Args:
        work: the training.
        costs: measured costs.
        pace: pace at the start of the training.
        sizes_are_free: whether the plan chose the image sizes, rather than the user.
        minutes: the budget.
        spent: seconds of the budget that have passed.
        until: clock time of the end of the budget.
    """
    end = seconds_after(work, costs)
    time = (
        f"{minutes:g} minutes, until {until}; {spent:.0f} s are spent, {end:.0f} s are kept for the end and for saving"
    )
    return (
        f"plan: recipe {work.recipe.name}, {_passes(work, pace)}, {_sizes(work)}; {_rate(work)}",
        f"time: {time}",
        *((f"why: {_why(work, pace)}",) if sizes_are_free else ()),
        *_capped(work, pace, spent + seconds_for(work, costs, pace.end)),
    )


def _passes(work: Work, pace: Pace) -> str:
    return f"{pace.end / work.training:.3g} passes over {work.training:,} images"


def _sizes(work: Work) -> str:
    first, last = (
        "{1}x{0}".format(*work.recipe.training_size(epoch, work.height, work.width))
        for epoch in (0, work.recipe.epochs - 1)
    )
    return f"seen at {last} pixels" if first == last else f"seen at {first}, growing to {last} pixels"


def _rate(work: Work) -> str:
    highest = (
        work.recipe.learning_rate_at(0, 0, work.batch_size)
        if not work.recipe.warmup_epochs
        else work.recipe.learning_rate
    )
    falls = "falls to 0 at the end" if work.recipe.schedule == "linear" else "follows the recipe's steps"
    return f"the learning rate, at first {highest:.3g}, {falls}"


def _why(work: Work, pace: Pace) -> str:
    useful = min_useful_images(work)
    if pace.end < min(useful, MAX_PASSES * work.training):
        return f"even at the smallest image size there is no time for {useful:,} images, so more minutes would help"
    return f"the largest image size of this recipe at which there is time for {useful:,} images"


def _capped(work: Work, pace: Pace, seconds: float) -> tuple[str, ...]:
    if pace.end < MAX_PASSES * work.training:
        return ()
    return (f"{work.note_of_largest}, after {seconds / 60:.1f} minutes",)
