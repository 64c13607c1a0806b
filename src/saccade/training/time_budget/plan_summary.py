"""The plan of a training within a time budget, as it is told before the training begins."""

from __future__ import annotations

from saccade.runs.time_budget_state import Costs, Pace
from saccade.training.time_budget.budget import (
    MOST_PASSES,
    Work,
    seconds_after,
    seconds_for,
    wanted_images,
)


def plan_in_words(
    work: Work, costs: Costs, pace: Pace, *, sizes_are_free: bool, minutes: float, spent: float, until: str
) -> tuple[str, ...]:
    """What is planned and why, in lines.

    Args:
        work: what will be trained.
        costs: as they were measured.
        pace: at which the training will begin.
        sizes_are_free: whether the sizes of the images were chosen, or given.
        minutes: the budget.
        spent: seconds of it that are gone.
        until: clock time at which it ends.
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
    wanted = wanted_images(work)
    if pace.end < min(wanted, MOST_PASSES * work.training):
        return f"even at the smallest size there is no time for {wanted:,} images, so more minutes would help"
    return f"the largest size, of those that the recipe is good for, at which {wanted:,} images can be seen"


def _capped(work: Work, pace: Pace, seconds: float) -> tuple[str, ...]:
    if pace.end < MOST_PASSES * work.training:
        return ()
    return (f"more than {MOST_PASSES} passes are of no use: it will end early, after about {seconds / 60:.1f} minutes",)
