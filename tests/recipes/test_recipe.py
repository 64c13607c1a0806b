import pytest
from pydantic import ValidationError

from saccade.errors import RecipeError
from saccade.recipes import ENTRIES, REGISTRY, Recipe, default_recipe, get_recipe


def test_a_recipe_is_frozen():
    recipe = get_recipe("quick")
    with pytest.raises(ValidationError):
        recipe.seed = 1  # type: ignore[misc]


def test_the_error_for_an_unknown_key_suggests_the_nearest_key():
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
        ("validation_split", "0.9"),
        ("network", "resnet"),
        ("horizontal_flip", "perhaps"),
        ("seed", "-3"),
        ("image_size", "4"),
    ],
)
def test_the_error_for_an_invalid_value_names_the_expected_values(key, value):
    with pytest.raises(RecipeError, match=f"key '{key}' can't be") as caught:
        get_recipe("quick").with_settings({key: value})
    assert caught.value.expected


def test_text_is_converted_to_the_type_of_the_key():
    recipe = get_recipe("quick").with_settings(
        {"batch_size": "64", "horizontal_flip": "no", "image_size": "48", "translate": "0.2", "keep": "best"}
    )
    assert (recipe.batch_size, recipe.horizontal_flip, recipe.image_size, recipe.translate) == (64, False, 48, 0.2)
    assert recipe.with_settings({"image_size": "none"}).image_size is None


def test_the_name_is_not_a_setting():
    with pytest.raises(RecipeError, match="no key 'name'"):
        get_recipe("quick").with_settings({"name": "mine"})


def test_a_recipe_needs_at_least_one_epoch():
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
def test_with_epochs_keeps_the_shares_of_the_phases(name, epochs, plain, augmented):
    recipe = get_recipe(name).with_epochs(epochs)
    assert (recipe.plain_epochs, recipe.augmented_epochs) == (plain, augmented)


def test_the_error_for_an_unknown_recipe_suggests_the_nearest_name():
    with pytest.raises(RecipeError, match="did you mean 'two-phase'"):
        get_recipe("two-fase")


def test_the_recipes_have_the_epochs_and_rates_of_their_tutorials():
    tutorials = {name: entry.recipe for name, entry in REGISTRY.items() if name not in ("fast", "accurate")}
    epochs = {name: (recipe.plain_epochs, recipe.augmented_epochs) for name, recipe in tutorials.items()}
    assert epochs == {
        "quick": (5, 2),
        "two-phase": (10, 5),
        "classic": (50, 50),
        "scheduled": (0, 50),
        "folder": (10, 0),
    }
    for name, recipe in tutorials.items():
        assert (recipe.translate, recipe.horizontal_flip) == (0.1, True)
        assert recipe.learning_rate_at(1, batch_size=32) == pytest.approx(0.001)  # at the batch size of the tutorials
        assert recipe.rotation == (15 if name == "scheduled" else 0)


def test_the_learning_rate_of_scheduled_falls_tenfold_every_ten_epochs():
    recipe = get_recipe("scheduled")
    rates = [recipe.learning_rate_at(epoch) for epoch in range(50)]
    assert rates == pytest.approx([0.001 * 0.1 ** (epoch // 10) for epoch in range(50)], rel=1e-12)


def test_few_photographs_are_trained_longer_by_default():
    epochs = {
        images: default_recipe(224, 224, images).epochs for images in (None, 1, 900, 1300, 2000, 2600, 3400, 10**6)
    }
    assert epochs == {None: 9, 1: 21, 900: 21, 1300: 21, 2000: 14, 2600: 11, 3400: 9, 10**6: 9}
    assert default_recipe(32, 32, 5) == get_recipe("fast")


def test_the_default_recipe_depends_on_the_size_of_the_images():
    sizes = ((8, 8), (32, 32), (64, 64), (96, 96), (224, 224), (65, 300))
    assert [default_recipe(*size).name for size in sizes] == ["quick", "fast", "fast", "photo", "photo", "photo"]


def test_a_recipe_is_equal_after_json():
    for entry in ENTRIES.values():
        assert Recipe.model_validate_json(entry.recipe.model_dump_json()) == entry.recipe


def test_the_input_grows_to_its_final_size():
    recipe = get_recipe("fast").with_settings({"initial_scale": 0.5, "final_scale": 0.8125, "augmented_epochs": 8})
    sizes = [recipe.training_size(epoch, 32, 64) for epoch in range(8)]
    assert sizes[0] == (16, 32)
    assert sizes == sorted(sizes) == [(side, 2 * side) for side, _ in sizes]
    assert sizes[-3:] == [(26, 52)] * 3 == [recipe.final_size(32, 64)] * 3
    # Few different sizes, because each size is compiled.
    assert len(set(sizes)) == 4


@pytest.mark.parametrize("epochs", [1, 2, 3, 8])
def test_the_last_epoch_has_the_final_size_for_any_number_of_epochs(epochs):
    recipe = get_recipe("fast").with_epochs(epochs)
    sizes = [recipe.training_size(epoch, 32, 32) for epoch in range(epochs)]
    assert sizes[-1] == recipe.final_size(32, 32)
    assert [size == sizes[-1] for size in sizes] == [epoch >= recipe.grown_from for epoch in range(epochs)]


def test_small_images_keep_at_least_12_pixels_a_side():
    recipe = get_recipe("fast")
    assert recipe.training_size(0, 16, 10) == (12, 10)


def test_a_linear_schedule_falls_with_the_finished_work():
    recipe = get_recipe("fast").with_settings({"learning_rate": 0.1, "warmup_epochs": 0})
    rates = [recipe.learning_rate_at(epoch, fraction) for epoch in range(recipe.epochs) for fraction in (0, 0.5)]
    assert rates[0] == 0.1
    assert rates == sorted(rates, reverse=True)
    assert recipe.learning_rate_at(recipe.epochs - 1, 1) == pytest.approx(0)
    # An epoch with small inputs is less work, so the rate falls less in this epoch.
    assert rates[0] - rates[2] < rates[-4] - rates[-2]


def test_the_learning_rate_rises_in_the_warmup_epochs():
    recipe = get_recipe("two-phase").with_settings({"warmup_epochs": 2, "learning_rate": 0.01})
    assert recipe.learning_rate_at(0) == 0
    assert recipe.learning_rate_at(1) == pytest.approx(0.005)
    assert recipe.learning_rate_at(2) == pytest.approx(0.01)


def test_few_images_reduce_batch_size_and_learning_rate():
    recipe = get_recipe("fast").with_settings({"batch_size": 500, "min_steps_per_epoch": 50, "learning_rate": 0.1})
    assert [recipe.batch_size_for(n) for n in (50_000, 5000, 1000, 30)] == [500, 100, 20, 16]
    assert recipe.learning_rate_at(0, 0, 125) == pytest.approx(0.05)
    assert get_recipe("folder").batch_size_for(10) == 32


def test_every_key_accepts_the_text_of_its_value():
    for entry in ENTRIES.values():
        values = entry.recipe.model_dump(exclude={"name"})
        settings = {
            key: str(value).lower() if value in (True, False, None) else str(value) for key, value in values.items()
        }
        assert entry.recipe.with_settings(settings) == entry.recipe
    assert get_recipe("fast").with_settings({"tta_views": "1"}).tta_views == 1
    with pytest.raises(RecipeError, match="'tta_views'"):
        get_recipe("fast").with_settings({"tta_views": "2"})


def test_augmentation_keys_have_no_effect_without_augmented_epochs():
    keys = ["translate", "horizontal_flip", "learning_rate"]
    assert get_recipe("folder").keys_without_effect(keys) == ["translate", "horizontal_flip"]
    assert get_recipe("folder").with_settings({"augmented_epochs": 1}).keys_without_effect(keys) == []
    assert get_recipe("transfer").keys_without_effect(keys) == []


@pytest.mark.parametrize("recipe", [get_recipe("linear-probe"), get_recipe("transfer").with_epochs(1)])
def test_keys_of_steps_have_no_effect_where_only_a_head_is_fitted(recipe):
    """The head is fitted to each image and its mirror image."""
    keys = ["class_weights", "horizontal_flip", "learning_rate", "seed", "translate"]
    assert recipe.keys_without_effect(keys) == ["translate", "learning_rate"]


NEW_AUGMENTATION = {
    "crop_scale": 0.5, "vertical_flip": True, "color_jitter": 0.4, "trivial_augment": True, "random_erasing": 0.25,
    "mixup": 0.2, "cutmix": 1.0,
}  # fmt: skip


def test_every_key_of_augmentation_has_no_effect_without_augmented_epochs():
    keys = [*NEW_AUGMENTATION, "sampling"]
    assert get_recipe("folder").keys_without_effect(keys) == list(NEW_AUGMENTATION)
    assert get_recipe("linear-probe").keys_without_effect(keys) == list(NEW_AUGMENTATION)
    for recipe in ("fast", "two-phase", "transfer", "photo"):
        assert get_recipe(recipe).keys_without_effect(keys) == []


def test_recipes_use_the_keys_of_augmentation_only_where_they_are_set():
    own = {("photo", "crop_scale"): 0.5}
    for name, entry in ENTRIES.items():
        changed = entry.recipe.with_settings(NEW_AUGMENTATION | {"sampling": "balanced"})
        for key, value in NEW_AUGMENTATION.items():
            expected = own.get((name, key), Recipe.model_fields[key].default)
            assert getattr(changed, key) == value
            assert getattr(entry.recipe, key) == expected
        assert entry.recipe.sampling == "shuffled"


@pytest.mark.parametrize(
    ("key", "value"),
    [("crop_scale", 0), ("crop_scale", 1.1), ("color_jitter", 1.5), ("random_erasing", -0.1), ("mixup", -1),
     ("cutmix", "nan"), ("trivial_augment", "often"), ("sampling", "weighted")],
)  # fmt: skip
def test_impossible_values_of_augmentation_are_errors(key, value):
    with pytest.raises(RecipeError, match=f"'{key}' can't be"):
        get_recipe("fast").with_settings({key: value})


def test_balanced_sampling_and_class_weights_exclude_each_other():
    with pytest.raises(RecipeError, match=r"sampling=balanced and class_weights=true .* take one of them"):
        get_recipe("fast").with_settings({"sampling": "balanced", "class_weights": True})


def test_a_frozen_network_has_one_epoch():
    with pytest.raises(RecipeError, match=r"a frozen network has one epoch.*take the recipe photo"):
        get_recipe("linear-probe").with_epochs(3)
