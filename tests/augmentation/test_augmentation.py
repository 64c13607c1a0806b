import numpy as np

from saccade.augmentation.augmentation import Augmentation, AugmentationParameters, sample_augmentation
from saccade.recipes import get_recipe

ALL_AUGMENTATIONS = Augmentation(translate=0.1, horizontal_flip=True, rotation=15, integer_translate=False)


def drawn(augmentation=ALL_AUGMENTATIONS, n=100, size=(32, 32), seed=0, epoch=0):
    return sample_augmentation(augmentation, n, size, seed=seed, epoch=epoch)


def test_parameters_are_a_pure_function_of_seed_epoch_and_sample():
    few, many = drawn(n=10, seed=3, epoch=5), drawn(n=1000, seed=3, epoch=5)
    np.testing.assert_array_equal(few.as_array(), many.as_array()[:10])
    assert not np.array_equal(few.down, drawn(n=10, seed=3, epoch=6).down)
    assert not np.array_equal(few.down, drawn(n=10, seed=4, epoch=5).down)


def test_real_shifts_and_rotations_are_uniform():
    sampled = drawn(n=20_000, size=(40, 20))
    for values, bound in ((sampled.down, 4), (sampled.right, 2), (sampled.degrees, 15)):
        assert abs(values).max() <= bound
        counts, _ = np.histogram(values, bins=10, range=(-bound, bound))
        # 2,000 expected in each bin, with a standard deviation of 42.
        assert abs(counts - 2000).max() < 250


def test_integer_shifts_are_uniform():
    sampled = drawn(
        Augmentation(translate=0.06, horizontal_flip=True, rotation=0, integer_translate=True), n=20_000, size=(32, 50)
    )
    for values, bound in ((sampled.down, 2), (sampled.right, 3)):
        found, counts = np.unique(values, return_counts=True)
        np.testing.assert_array_equal(found, np.arange(-bound, bound + 1))
        # A standard deviation of at most 57 about the expectation.
        assert abs(counts - 20_000 / (2 * bound + 1)).max() < 300


def test_flips_alternate_and_half_are_mirrored_in_the_first_epoch():
    first, second, third = (drawn(n=20_000, epoch=epoch).mirrored for epoch in range(3))
    assert 0.48 < first.mean() < 0.52
    np.testing.assert_array_equal(second, ~first)
    np.testing.assert_array_equal(third, first)
    assert not np.array_equal(first, drawn(n=20_000, seed=1).mirrored)


def test_flips_and_shifts_are_uncorrelated():
    sampled = drawn(n=20_000)
    assert abs(np.corrcoef(sampled.mirrored, sampled.down)[0, 1]) < 0.03
    assert abs(np.corrcoef(sampled.mirrored, sampled.right)[0, 1]) < 0.03


def test_zero_ranges_give_zero_parameters():
    for integer_translate in (False, True):
        still = Augmentation(translate=0, horizontal_flip=False, rotation=0, integer_translate=integer_translate)
        for epoch in (0, 1):
            assert not drawn(still, epoch=epoch).as_array().any()


def test_parameters_are_down_right_mirrored_degrees():
    sampled = AugmentationParameters(
        np.array([1.5, 2]), np.array([-3, 4.0]), np.array([True, False]), np.array([10, -20.0])
    )
    parameters = sampled.as_array()
    assert parameters.dtype == np.float32
    np.testing.assert_array_equal(parameters, [[1.5, -3, 1, 10], [2, 4, 0, -20]])


def test_augmentation_of_a_recipe():
    recipe = get_recipe("two-phase").with_settings(
        {"translate": 0.2, "horizontal_flip": False, "rotation": 5, "integer_translate": True}
    )
    assert Augmentation.of(recipe) == Augmentation(
        translate=0.2, horizontal_flip=False, rotation=5, integer_translate=True
    )
