import itertools

import pytest

from saccade.errors import RecipeError
from saccade.recipes import REGISTRY, get_recipe
from saccade.recipes.search_space import Choices, Range, search_space

FAST = get_recipe("fast")


def ends(dimension):
    return dimension.values if isinstance(dimension, Choices) else (dimension.low, dimension.high)


@pytest.mark.parametrize("name", REGISTRY)
def test_the_default_space_holds_the_recipe_and_every_corner_is_a_valid_recipe(name):
    recipe = get_recipe(name)
    space = search_space(recipe, {})
    assert {"learning_rate", "batch_size"} <= space.keys()
    for key, dimension in space.items():
        assert getattr(recipe, key) in dimension, key
    for corner in itertools.product(*map(ends, space.values())):
        recipe.with_settings(dict(zip(space, corner, strict=True)))


def test_changes_replace_add_and_remove_keys():
    own = search_space(FAST, {})
    space = search_space(
        FAST, {"learning_rate": "0.1..0.2", "rotation": "0..20", "horizontal_flip": None, "translate": None}
    )
    assert space.keys() == own.keys() - {"horizontal_flip", "translate"} | {"rotation"}
    assert space["learning_rate"] == Range(low=0.1, high=0.2)
    assert space["batch_size"] == own["batch_size"]


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("learning_rate", "0.01..0.1", Range(low=0.01, high=0.1, log=True)),
        ("learning_rate", "0.02..0.1", Range(low=0.02, high=0.1)),
        ("label_smoothing", "0..0.5", Range(low=0, high=0.5)),
        ("batch_size", "16..512", Range(low=16, high=512, log=True, whole=True)),
        ("batch_size", "64, 128", Choices(values=(64, 128))),
        ("horizontal_flip", "true,false", Choices(values=(True, False))),
        ("optimizer", "adam,muon", Choices(values=("adam", "muon"))),
        ("network", "fast", Choices(values=("fast",))),
    ],
)
def test_a_range_has_the_type_of_its_key_and_is_logarithmic_from_a_ratio_of_ten(key, text, expected):
    assert search_space(FAST, {key: text})[key] == expected


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("learning_rat", "0.1..1", "did you mean 'learning_rate'?"),
        ("name", "a,b", "a recipe has no key 'name'"),
        ("seed", "0..9", "'seed' can't be tuned"),
        ("tta_views", "1,6", "validation uses no test-time augmentation"),
        ("learning_rate", "0.1..20", "'learning_rate' can't be '20'"),
        ("learning_rate", "0.5..0.1", "the range of 'learning_rate' is empty"),
        ("learning_rate", "", "'learning_rate' can't be ''"),
        ("batch_size", "1.5..8", "'batch_size' can't be '1.5'"),
        ("horizontal_flip", "false..true", "is no number, so it has no range"),
        ("optimizer", "adam,sgd", "'optimizer' can't be 'sgd'"),
    ],
)
def test_keys_and_values_that_can_not_be_searched_are_errors(key, text, message):
    with pytest.raises(RecipeError) as caught:
        search_space(FAST, {key: text})
    assert message in str(caught.value)


def test_the_space_of_a_linear_head_has_only_keys_with_an_effect():
    probe = get_recipe("linear-probe")
    space = search_space(probe, {})
    assert space.keys() == {"class_weights", "horizontal_flip"}
    assert probe.keys_without_effect(space) == []
    # Class weights and balanced sampling exclude each other.
    assert search_space(probe.with_settings({"sampling": "balanced"}), {}).keys() == {"horizontal_flip"}
    with pytest.raises(RecipeError, match="'learning_rate' can't be tuned") as caught:
        search_space(probe, {"learning_rate": "0.1..1"})
    assert "--recipe photo" in str(caught.value.remedy)
    with pytest.raises(RecipeError, match="nothing to tune"):
        search_space(probe, dict.fromkeys(space))


def test_no_key_of_the_space_of_a_recipe_is_without_effect():
    for name in ("photo", "linear-probe", "fast", "quick", "folder"):
        recipe = get_recipe(name)
        assert recipe.keys_without_effect(search_space(recipe, {})) == [], name


def test_an_empty_space_is_an_error():
    with pytest.raises(RecipeError, match="nothing to tune"):
        search_space(FAST, dict.fromkeys(search_space(FAST, {})))
