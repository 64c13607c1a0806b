import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from saccade.pipeline.augmentation import Augmentation, Moves, affine_maps, apply_maps, draw_moves

PICTURE = np.random.default_rng(7).integers(0, 256, (32, 32, 3)).astype(np.float32)
# Shifts down and right in pixels, mirrored, degrees.
CASES = [
    (3, 0, False, 0),
    (0, 2.5, False, 0),
    (1.3, -2.2, True, 0),
    (0, 0, True, 0),
    (0, 0, False, 15),
    (-3.2, 1.1, True, -12.5),
]


def one_move(down, right, mirrored, degrees):
    return Moves(np.array([float(down)]), np.array([float(right)]), np.array([mirrored]), np.array([float(degrees)]))


def moved(picture, case):
    return np.asarray(apply_maps(picture[None], affine_maps(one_move(*case), picture.shape[:2])))[0]


@pytest.mark.parametrize("case", CASES)
def test_moves_agree_with_image_data_generator(case):
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    down, right, mirrored, degrees = case
    generator = ImageDataGenerator(fill_mode="nearest")
    # There tx and ty say where each output pixel is taken from, so content moves the other way.
    start = PICTURE[:, ::-1] if mirrored else PICTURE
    expected = generator.apply_transform(start.copy(), {"theta": degrees, "tx": -right, "ty": -down})
    np.testing.assert_allclose(moved(PICTURE, case), expected, atol=2e-3)


@pytest.mark.parametrize("case", CASES)
def test_moves_of_pictures_that_are_not_square_agree_with_a_float64_reference(case):
    down, right, mirrored, degrees = case
    picture = PICTURE[:, :20]
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    # Undo the shift, then the rotation about the centre, counterclockwise as seen (rows grow downwards).
    y, x = rows - down - (height - 1) / 2, columns - right - (width - 1) / 2
    angle = np.deg2rad(degrees)
    x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    y, x = y + (height - 1) / 2, x + (width - 1) / 2
    start = picture[:, ::-1] if mirrored else picture
    y, x = y.clip(0, height - 1), x.clip(0, width - 1)
    expected = np.stack(
        [map_coordinates(start[..., c].astype(np.float64), (y, x), order=1, mode="nearest") for c in range(3)], axis=-1
    )
    np.testing.assert_allclose(moved(picture, case), expected, atol=2e-3)


def test_no_move_changes_no_bit():
    np.testing.assert_array_equal(moved(PICTURE, (0, 0, False, 0)), PICTURE)


def test_a_shift_down_moves_the_content_down_and_repeats_the_edge():
    result = moved(PICTURE, (2, 0, False, 0))
    np.testing.assert_array_equal(result[2:], PICTURE[:-2])
    np.testing.assert_array_equal(result[0], PICTURE[0])
    np.testing.assert_array_equal(result[1], PICTURE[0])


def test_moves_are_a_pure_function_of_seed_epoch_and_sample():
    augmentation = Augmentation(shift=0.1, flip=True, rotation=15)
    few = draw_moves(augmentation, 10, (32, 32), seed=3, epoch=5)
    many = draw_moves(augmentation, 1000, (32, 32), seed=3, epoch=5)
    for name in ("down", "right", "mirrored", "degrees"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:10])
    other_epoch = draw_moves(augmentation, 10, (32, 32), seed=3, epoch=6)
    other_seed = draw_moves(augmentation, 10, (32, 32), seed=4, epoch=5)
    assert not np.array_equal(few.down, other_epoch.down)
    assert not np.array_equal(few.down, other_seed.down)


def test_moves_fill_their_ranges_evenly():
    moves = draw_moves(Augmentation(shift=0.1, flip=True, rotation=15), 20_000, (40, 20), seed=0, epoch=0)
    for values, bound in ((moves.down, 4), (moves.right, 2), (moves.degrees, 15)):
        assert abs(values).max() <= bound
        counts, _ = np.histogram(values, bins=10, range=(-bound, bound))
        # 2,000 expected in each bin, with a standard deviation of 42.
        assert abs(counts - 2000).max() < 250
    assert 0.48 < moves.mirrored.mean() < 0.52


def test_no_flip_where_none_is_asked():
    moves = draw_moves(Augmentation(shift=0, flip=False, rotation=0), 100, (32, 32), seed=0, epoch=0)
    assert not moves.mirrored.any()
    assert not moves.down.any()
