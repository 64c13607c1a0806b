import pytest
from pydantic import ValidationError

from saccade.errors import RecipeError
from saccade.recipes import CATALOGUE, Recipe, default_recipe_name, get_recipe


def test_a_recipe_does_not_change():
    recipe = get_recipe("quick")
    with pytest.raises(ValidationError):
        recipe.seed = 1  # type: ignore[misc]


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'learning_rate'") as caught:
        get_recipe("quick").with_settings({"learning_rat": "0.1"})
    assert "no key 'learning_rat'" in caught.value.problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_size", "0"),
        ("batch_size", "many"),
        ("learning_rate", "-1"),
        ("learning_rate", "nan"),
        ("learning_rate", "inf"),
        ("keep", "first"),
        ("validation", "0.9"),
        ("network", "resnet"),
        ("flip", "perhaps"),
        ("seed", "-3"),
        ("image_size", "4"),
    ],
)
def test_a_bad_value_is_refused_with_what_was_expected(key, value):
    with pytest.raises(RecipeError, match=f"key '{key}' can't be") as caught:
        get_recipe("quick").with_settings({key: value})
    assert caught.value.expected


def test_text_is_read_as_the_type_of_its_key():
    recipe = get_recipe("quick").with_settings(
        {"batch_size": "64", "flip": "no", "image_size": "48", "shift": "0.2", "keep": "best"}
    )
    assert (recipe.batch_size, recipe.flip, recipe.image_size, recipe.shift) == (64, False, 48, 0.2)
    assert recipe.with_settings({"image_size": "none"}).image_size is None


def test_the_name_is_not_a_setting():
    with pytest.raises(RecipeError, match="no key 'name'"):
        get_recipe("quick").with_settings({"name": "mine"})


def test_no_epochs_at_all_is_refused():
    with pytest.raises(RecipeError, match="at least one epoch"):
        get_recipe("quick").with_settings({"plain_epochs": 0, "augmented_epochs": 0})
    with pytest.raises(RecipeError, match="at least one epoch"):
        get_recipe("quick").with_epochs(0)


@pytest.mark.parametrize(
    ("name", "epochs", "plain", "augmented"),
    [
        ("two-phase", 3, 2, 1),
        ("two-phase", 2, 1, 1),
        ("two-phase", 1, 1, 0),
        ("quick", 14, 10, 4),
        ("scheduled", 7, 0, 7),
        ("folder", 4, 4, 0),
    ],
)
def test_epochs_are_shared_between_the_phases_in_their_proportion(name, epochs, plain, augmented):
    recipe = get_recipe(name).with_epochs(epochs)
    assert (recipe.plain_epochs, recipe.augmented_epochs) == (plain, augmented)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'two-phase'"):
        get_recipe("two-fase")


def test_the_recipes_are_the_tutorials():
    epochs = {name: (entry.recipe.plain_epochs, entry.recipe.augmented_epochs) for name, entry in CATALOGUE.items()}
    assert epochs == {
        "quick": (5, 2),
        "two-phase": (10, 5),
        "classic": (50, 50),
        "scheduled": (0, 50),
        "folder": (10, 0),
    }
    for entry in CATALOGUE.values():
        assert (entry.recipe.shift, entry.recipe.flip, entry.recipe.learning_rate) == (0.1, True, 0.001)
        assert entry.recipe.rotation == (15 if entry.recipe.name == "scheduled" else 0)


def test_the_learning_rate_of_scheduled_falls_tenfold_every_ten_epochs():
    recipe = get_recipe("scheduled")
    rates = [recipe.learning_rate_at(epoch) for epoch in range(50)]
    assert rates == pytest.approx([0.001 * 0.1 ** (epoch // 10) for epoch in range(50)], rel=1e-12)


def test_the_default_depends_on_the_size_of_the_pictures():
    assert default_recipe_name(32, 32) == "quick"
    assert default_recipe_name(64, 64) == "quick"
    assert default_recipe_name(96, 96) == "folder"


def test_a_recipe_survives_json():
    for entry in CATALOGUE.values():
        assert Recipe.model_validate_json(entry.recipe.model_dump_json()) == entry.recipe
