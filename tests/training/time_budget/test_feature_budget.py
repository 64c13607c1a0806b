from dataclasses import replace

import pytest

from saccade.errors import TrainingError
from saccade.recipes import get_recipe
from saccade.runs.time_budget_state import FeatureCosts
from saccade.training.time_budget.budget import reserve
from saccade.training.time_budget.feature_budget import (
    FeatureWork,
    candidate_recipes,
    choose,
    features_seconds,
    head_seconds,
    require_enough_time,
    seconds_for,
    summarize_choice,
)

PROBE = get_recipe("linear-probe")
TRAINING, VALIDATION = 3_000, 300
# 100 images of 224x224 pixels a second.
COSTS = FeatureCosts(pixel=0.01 / 224**2, penalty=1e-4, fit=2e-5, saving=10)


def work_of(recipe, missing=None):
    variants = 1 + recipe.horizontal_flip
    images = variants * TRAINING + VALIDATION if missing is None else missing
    return FeatureWork(recipe, 224, 224, classes=10, training=TRAINING, cross_validated=False, missing=images)


def chosen_within(seconds, settings=()):
    choice = choose([work_of(recipe) for recipe in candidate_recipes(PROBE, 224, 224, settings)], COSTS, seconds)
    recipe = choice.work.recipe
    return recipe.final_size(224, 224)[0], recipe.horizontal_flip


def test_all_time_but_the_head_and_saving_goes_into_features_in_proportion_to_their_pixels():
    whole = work_of(PROBE)
    assert features_seconds(whole, COSTS) == pytest.approx(63)
    smaller = work_of(PROBE.with_settings({"initial_scale": 0.5, "final_scale": 0.5}))
    assert features_seconds(smaller, COSTS) == pytest.approx(63 / 4)
    assert head_seconds(whole, COSTS) == pytest.approx(3_000 * 10 * (1e-4 + 2 * 2e-5))
    assert head_seconds(replace(whole, cross_validated=True), COSTS) > 4 * head_seconds(whole, COSTS)
    assert seconds_for(whole, COSTS) == pytest.approx(63 + 4.2 + 10)
    assert seconds_for(replace(whole, missing=0), COSTS) == pytest.approx(14.2)


def test_less_time_leaves_out_the_mirror_images_and_then_shrinks_the_images():
    choices = [chosen_within(seconds) for seconds in (600, 90, 80, 55, 48, 43, 40, 35, 32, 1)]
    assert choices == [
        (224, True), (224, True), (224, False), (224, False), (192, False), (192, False), (160, False), (160, False),
        (128, False), (128, False),
    ]  # fmt: skip


def test_a_choice_ends_in_time_on_a_machine_that_gets_a_little_slower():
    for seconds in range(40, 100):
        size, mirrored = chosen_within(seconds)
        recipe = PROBE.with_settings(
            {"horizontal_flip": mirrored, "initial_scale": size / 224, "final_scale": size / 224}
        )
        assert seconds_for(work_of(recipe), COSTS) <= 0.9 * seconds


def test_keys_that_the_user_set_are_kept():
    assert {chosen_within(seconds, ["horizontal_flip"]) for seconds in range(1, 200, 9)} == {
        (224, True), (192, True), (160, True), (128, True)
    }  # fmt: skip
    assert {chosen_within(seconds, ["image_size"]) for seconds in range(1, 200, 9)} == {(224, True), (224, False)}
    assert chosen_within(1, ["final_scale", "horizontal_flip"]) == (224, True)
    without = PROBE.with_settings({"horizontal_flip": False})
    assert all(not recipe.horizontal_flip for recipe in candidate_recipes(without, 224, 224, ["horizontal_flip"]))


def test_images_never_get_larger():
    assert [recipe.final_size(140, 140) for recipe in candidate_recipes(PROBE, 140, 140, ())] == [
        (140, 140), (140, 140), (128, 128)
    ]  # fmt: skip
    assert [recipe.final_scale for recipe in candidate_recipes(PROBE, 100, 120, ())] == [1, 1]
    assert [recipe.final_size(320, 224) for recipe in candidate_recipes(PROBE, 320, 224, ())][2:] == [
        (274, 192), (228, 160), (182, 128)
    ]  # fmt: skip


def test_features_in_the_cache_take_no_time():
    candidates = [work_of(recipe) for recipe in candidate_recipes(PROBE, 224, 224, ())]
    candidates[0] = replace(candidates[0], missing=0)
    choice = choose(candidates, COSTS, 20)
    assert choice.work == candidates[0]
    assert choice.better is None


def test_too_short_a_budget_is_an_error_and_the_named_minimum_is_enough():
    candidates = [work_of(recipe) for recipe in candidate_recipes(PROBE, 224, 224, ())]
    minutes, spent = 0.5, 12.0

    def left(minutes):
        return 60 * minutes - reserve(minutes) - spent

    choice = choose(candidates, COSTS, left(minutes))
    with pytest.raises(TrainingError, match=r"0\.5 minutes are too few") as caught:
        require_enough_time(choice, left(minutes), minutes, spent)
    minimum = float(str(caught.value.remedy).removeprefix("--minutes "))
    assert minimum < (spent + seconds_for(candidates[-1], COSTS)) / 60 + 0.3
    require_enough_time(choose(candidates, COSTS, left(minimum)), left(minimum), minimum, spent)


def summary(seconds, minutes, spent=12.0):
    candidates = [work_of(recipe) for recipe in candidate_recipes(PROBE, 224, 224, ())]
    return summarize_choice(
        choose(candidates, COSTS, seconds), COSTS, minutes=minutes, spent=spent, until="14:32:10"
    )  # fmt: skip


def test_the_summary_gives_the_choice_its_times_and_the_reason():
    plan, times, reason = summary(35, 1)
    assert plan == "plan: recipe linear-probe, 3,000 training images at 160x160 pixels, without their mirror images"
    assert times == (
        "time: 1 minutes, until 14:32:10; 12 s are spent, 17 s are planned for the features, 4 s for the head, 10 s "
        "for the rest and for saving"
    )
    assert reason == "why: at 192x192 pixels, without their mirror images, it would take 0.8 minutes"


def test_the_summary_of_a_long_budget_says_that_the_training_ends_early():
    lines = summary(700, 12)
    assert lines[0] == "plan: recipe linear-probe, 3,000 training images at 224x224 pixels, with their mirror images"
    assert lines[-1] == "this recipe needs no more time: the training ends early, after 1.5 minutes"
