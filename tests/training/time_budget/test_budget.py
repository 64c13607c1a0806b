import pytest
from pydantic import ValidationError

from saccade.errors import TrainingError
from saccade.recipes import get_recipe
from saccade.runs.time_budget_state import Costs, Pace
from saccade.training.time_budget.budget import (
    MAX_PASSES,
    Work,
    candidate_recipes,
    choose_size,
    images_within,
    initial_pace,
    mean_seconds,
    min_useful_images,
    remaining_graphs,
    replan,
    require_enough_time,
    reserve,
    seconds_after,
    seconds_for,
    sizes_are_free,
)
from saccade.training.time_budget.plan_summary import summarize_plan

FAST = get_recipe("fast")
# 16, 20, 20, 24, 24, 26, 26, 26 pixels of 32, in eight epochs.
PIXELS = [256, 400, 400, 576, 576, 676, 676, 676]
CIFAR = Work(FAST, 32, 32, training=45_000, validation=5_000)
COSTS = Costs(image=1e-4, pixel=2e-6, graph=3.0, validated=1e-6, closing=0.5, saving=8.0)


def test_the_mean_cost_of_an_image_covers_the_remaining_image_sizes():
    assert mean_seconds(CIFAR, COSTS, 0) == pytest.approx(1e-4 + 2e-6 * sum(PIXELS) / 8)
    assert mean_seconds(CIFAR, COSTS, 5) == pytest.approx(1e-4 + 2e-6 * 676)
    # Half of the fifth epoch, and three more.
    assert mean_seconds(CIFAR, COSTS, 4.5) == pytest.approx(1e-4 + 2e-6 * (0.5 * 576 + 3 * 676) / 3.5)
    assert mean_seconds(CIFAR, COSTS, 8) == pytest.approx(1e-4 + 2e-6 * 676)


def test_a_graph_is_traced_for_each_image_size_and_when_the_stem_is_frozen():
    # 16, 20, then without the stem from the fourth epoch, which is the first of 24, and 26.
    assert remaining_graphs(CIFAR, 0) == 4
    assert remaining_graphs(CIFAR, 0.5) == 3
    assert remaining_graphs(CIFAR, 5) == 0


def test_the_time_after_the_last_step_counts_every_prediction_of_an_image():
    plain = 676 * 1e-6
    augmented = plain + 0.05 * 1024 * 1e-6
    expected = 0.5 + 8.0 + 5_000 * plain + 6 * 5_000 * augmented + (5_000 + 5_000) * plain
    assert seconds_after(CIFAR, COSTS) == pytest.approx(expected)
    without = Work(FAST, 32, 32, training=50_000, validation=0)
    assert seconds_after(without, COSTS) == pytest.approx(8.5)


def test_the_planned_images_fit_into_the_time_and_one_more_does_not():
    seconds = 600.0
    images = images_within(CIFAR, COSTS, 0, seconds)
    each = mean_seconds(CIFAR, COSTS, 0) + (0.5 + 5_000 * 676e-6) / 45_000
    spent = seconds_after(CIFAR, COSTS) + 4 * 3.0 + images * each
    assert spent <= seconds < spent + each
    assert images_within(CIFAR, COSTS, 0, 10) == 0


def test_the_number_of_passes_is_limited():
    few = Work(FAST, 32, 32, training=1_000, validation=100)
    assert initial_pace(few, COSTS, 3600) == Pace(end=MAX_PASSES * 1_000)
    words = summarize_plan(
        few, COSTS, initial_pace(few, COSTS, 3600), sizes_are_free=True, minutes=60, spent=5, until="12:00:00"
    )
    assert "100 passes over 1,000 images" in words[0]
    assert "the training ends early, after 3.3 minutes" in words[-1]


def test_too_short_a_budget_is_an_error_and_the_named_minimum_is_enough():
    with pytest.raises(TrainingError, match=r"0\.5 minutes are too few") as caught:
        require_enough_time(CIFAR, COSTS, 0.5, spent=6)
    minimum = float(str(caught.value.remedy).removeprefix("--minutes "))
    require_enough_time(CIFAR, COSTS, minimum, spent=6)
    assert minimum < (6 + seconds_for(CIFAR, COSTS, 10 * 500)) / 60 + 0.3


def test_the_largest_image_size_with_time_for_enough_images_is_chosen():
    assert [recipe.final_scale for recipe in candidate_recipes(CIFAR)] == [0.8125, 0.75, 0.625, 0.5]
    enough = min_useful_images(CIFAR)
    assert enough == 2 * 45_000
    sizes = {}
    for minutes in (1, 3, 4.5, 6, 10):
        recipe = choose_size(CIFAR, COSTS, 60 * minutes)
        sizes[minutes] = recipe.final_scale
        if recipe.final_scale > 0.5:
            assert images_within(CIFAR.with_recipe(recipe), COSTS, 0, 60 * minutes) >= enough
    assert list(sizes.values()) == sorted(sizes.values())
    assert (sizes[1], sizes[10]) == (0.5, 0.8125)


def test_image_sizes_that_the_user_set_or_that_do_not_grow_are_kept():
    assert sizes_are_free(FAST, ["seed", "image_size"])
    assert not sizes_are_free(FAST, ["final_scale"])
    assert not sizes_are_free(get_recipe("two-phase"), [])


def test_the_image_size_is_limited_by_the_pixels_of_a_batch():
    photos = Work(FAST, 224, 224, training=45_000, validation=5_000)
    assert [recipe.final_size(224, 224)[0] for recipe in candidate_recipes(photos)] == [56]
    fewer = Work(FAST, 224, 224, training=2_000, validation=200)
    assert [recipe.final_size(224, 224)[0] for recipe in candidate_recipes(fewer)] == [182, 168, 140, 112, 84, 56]
    tall = Work(FAST, 64, 32, training=2_000, validation=200)
    assert [recipe.final_size(64, 32) for recipe in candidate_recipes(tall)][-1] == (32, 16)


def test_few_images_in_small_batches_get_more_passes():
    assert min_useful_images(Work(FAST, 32, 32, training=1_000, validation=100)) == 180 * 20


@pytest.mark.parametrize("slowness", [0.5, 1.3, 3.0])
def test_a_new_plan_ends_in_time_and_continues_from_the_position_of_the_old_one(slowness):
    seconds = 600.0
    pace = initial_pace(CIFAR, COSTS, seconds)
    seen, now = pace.end // 3, COSTS.times(slowness)
    remaining = 380.0
    new = replan(CIFAR, now, pace, seen, remaining, tolerance=5)
    assert new is not None
    assert (new.end < pace.end) == (slowness > 1)
    assert new.end - seen == images_within(CIFAR, now, pace.position_at(seen, 8), remaining)
    # No jump: learning rate, image size and phase are functions of the position.
    assert new.place_at(seen, 8) == pytest.approx(pace.place_at(seen, 8))
    assert FAST.learning_rate_at(*new.place_at(seen, 8)) == pytest.approx(
        FAST.learning_rate_at(*pace.place_at(seen, 8))
    )
    # The learning rate is 0 at the end of the new plan.
    assert FAST.learning_rate_at(*new.place_at(new.end, 8)) == pytest.approx(0)
    rates = [FAST.learning_rate_at(*new.place_at(each, 8)) for each in range(seen, new.end, 500)]
    assert rates == sorted(rates, reverse=True)


def test_a_plan_within_the_tolerance_is_kept():
    pace = initial_pace(CIFAR, COSTS, 600)
    assert replan(CIFAR, COSTS, pace, 0, 600, tolerance=5) is None
    assert replan(CIFAR, COSTS, pace, 0, 603, tolerance=5) is None
    assert replan(CIFAR, COSTS, pace, 0, 606, tolerance=5) is not None


def test_a_training_with_time_for_saving_only_ends_at_once():
    pace = initial_pace(CIFAR, COSTS, 600)
    seen = pace.end // 2
    new = replan(CIFAR, COSTS, pace, seen, seconds_after(CIFAR, COSTS) - 1, tolerance=5)
    assert new is not None
    assert new.end == seen
    assert new.position_at(seen, 8) == 8


def test_a_pace_is_linear_from_its_start_to_the_end_of_the_recipe():
    pace = Pace(start=100, position=2.0, end=400)
    assert [pace.position_at(seen, 8) for seen in (100, 200, 400, 500)] == pytest.approx([2, 4, 8, 8])
    assert pace.place_at(150, 8) == pytest.approx((3, 0.0))
    assert pace.place_at(400, 8) == (7, 1.0)


def test_costs_of_zero_per_image_are_an_error():
    with pytest.raises(ValidationError, match="an image takes some time"):
        Costs(image=0, pixel=0, graph=1, validated=1, closing=1, saving=1)


def test_the_reserve_grows_with_the_budget_but_is_small():
    assert 1 < reserve(0.5) < 0.05 * 30
    assert reserve(60) < 0.02 * 3600


def test_the_summary_of_a_plan_gives_recipe_times_and_reason():
    words = summarize_plan(
        CIFAR, COSTS, Pace(end=67_500), sizes_are_free=True, minutes=2, spent=7.2, until="14:32:10"
    )  # fmt: skip
    plan = "plan: recipe fast, 1.5 passes over 45,000 images, seen at 16x16, growing to 26x26 pixels; "
    assert words == (
        f"{plan}the learning rate, at first 0.14, falls to 0 at the end",
        "time: 2 minutes, until 14:32:10; 7 s are spent, 40 s are kept for the end and for saving",
        "why: even at the smallest image size there is no time for 90,000 images, so more minutes would help",
    )
