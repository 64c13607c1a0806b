from dataclasses import replace

import pytest

from saccade.recipes import get_recipe
from saccade.runs.time_budget_state import FeatureCosts
from saccade.training.time_budget.budget import (
    MAX_FINE_TUNING_PASSES,
    closing_seconds,
    replan,
    seconds_after,
)
from saccade.training.time_budget.feature_budget import FeatureWork
from saccade.training.time_budget.fine_tuning_budget import (
    FineTuningSpeed,
    FineTuningWork,
    candidate_recipes,
    choice_of,
    choose,
    seconds_for,
    summarize_choice,
)

PHOTO = get_recipe("photo")
TRAINING, VALIDATION = 1_000, 100
# Features of 100 images of 224x224 pixels a second, steps of 33 images a second.
FEATURES = FeatureCosts(pixel=0.01 / 224**2, penalty=1e-4, fit=2e-5, saving=10)
SPEED = FineTuningSpeed(FEATURES, step=0.03 / 224**2, building=1.0)


def work_of(recipe):
    head = FeatureWork(recipe, 224, 224, classes=10, training=TRAINING, cross_validated=False, missing=TRAINING)
    return FineTuningWork(head, VALIDATION)


def works(settings=()):
    return [
        replace(work_of(recipe), min_passes=passes) for recipe, passes in candidate_recipes(PHOTO, 224, 224, settings)
    ]


def chosen_within(seconds, settings=()):
    return choose(works(settings), SPEED, seconds)


def described(choice):
    size, _ = choice.work.recipe.final_size(224, 224)
    return size, choice.work.recipe.augmented_versions


def test_less_time_leaves_out_versions_and_shrinks_the_images_until_a_head_alone_is_left():
    found = []
    for seconds in range(600, 20, -1):
        choice = chosen_within(seconds)
        found.append(None if choice is None else described(choice))
    changes = [each for number, each in enumerate(found) if number == 0 or found[number - 1] != each]
    assert changes == [(224, 4), (224, 2), (224, 1), (192, 2), (192, 1), None]


def test_a_choice_ends_in_time_and_uses_the_time():
    for seconds in (150, 200, 300):
        choice = chosen_within(seconds)
        costs, recipe = choice.costs, choice.work.recipe
        side, _ = recipe.final_size(224, 224)
        steps = choice.images * 0.03 * (side / 224) ** 2 + costs.graph
        ends = choice.images / TRAINING * closing_seconds(choice.work.steps, costs)
        total = choice.before + steps + ends + seconds_after(choice.work.steps, costs)
        assert seconds - 0.1 < total <= seconds + 0.001


def test_the_time_for_all_epochs_of_the_recipe_is_a_budget_that_has_room_for_just_these_epochs():
    work = work_of(PHOTO)
    choice = choice_of(work, SPEED, seconds_for(work, SPEED) + 0.001)
    assert choice.images == (PHOTO.epochs - 1) * TRAINING


def test_more_time_than_useful_passes_ends_early_and_says_so():
    choice = chosen_within(36_000)
    assert described(choice) == (224, 4)
    assert choice.images == MAX_FINE_TUNING_PASSES * TRAINING
    lines = summarize_choice(choice, minutes=600, spent=5, until="12:00:00")
    assert "ends early" in lines[-1]
    assert "ends early" not in summarize_choice(chosen_within(300), minutes=5, spent=5, until="12:00:00")[-1]


def test_settings_of_the_user_are_kept():
    assert {work.recipe.augmented_versions for work in works(["augmented_versions"])} == {4}
    assert [work.recipe.final_scale for work in works(["image_size"])] == [1, 1, 1]


def test_four_versions_need_more_passes_than_two():
    choices = [chosen_within(seconds) for seconds in range(60, 900, 5)]
    for choice in filter(None, choices):
        passes = choice.images / TRAINING
        assert passes >= (12 if choice.work.recipe.augmented_versions == 4 else 3)
    assert {choice.work.recipe.augmented_versions for choice in choices if choice} == {1, 2, 4}


def test_the_first_pass_is_the_head_and_the_others_share_the_remaining_epochs():
    pace = choice_of(work_of(PHOTO), SPEED, 300).pace
    assert pace.position_at(0, PHOTO.epochs) == pace.position_at(TRAINING, PHOTO.epochs) == 1
    middle = (TRAINING + pace.end) // 2
    assert pace.position_at(middle, PHOTO.epochs) == pytest.approx((1 + PHOTO.epochs) / 2, abs=0.01)
    assert pace.position_at(pace.end, PHOTO.epochs) == PHOTO.epochs


def test_a_head_that_took_longer_leaves_fewer_passes():
    choice = choice_of(work_of(PHOTO), SPEED, 300)
    later = replan(choice.work.steps, choice.costs, choice.pace, TRAINING, 100, tolerance=1)
    assert later is not None
    assert TRAINING < later.end < choice.pace.end
    assert later.position == 1
    none = replan(choice.work.steps, choice.costs, choice.pace, TRAINING, 1, tolerance=1)
    assert none is not None
    assert none.end == TRAINING


def test_a_busy_moment_of_one_measurement_does_not_decide_against_fine_tuning():
    features = FeatureCosts(pixel=5 * FEATURES.pixel, penalty=5e-4, fit=1e-4, saving=50)
    slow = FineTuningSpeed(features, step=5 * SPEED.step, building=5.0)
    fast = chosen_within(200)
    assert choose(works(), slow, 200) is None
    assert choose(works(), slow.faster(SPEED), 200) == choose(works(), SPEED.faster(slow), 200) == fast
