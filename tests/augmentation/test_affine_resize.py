import keras
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

from saccade.augmentation.affine_resize import MovedPictures

pytestmark = pytest.mark.backends

PICTURES = {
    "square": np.random.default_rng(7).integers(0, 256, (32, 32, 3), np.uint8),
    "wide": np.random.default_rng(8).integers(0, 256, (20, 33, 3), np.uint8),
}
# Pixels down, pixels right, mirrored, degrees.
WHOLE = [(3, 0, 0, 0), (0, -2, 0, 0), (-3, 3, 1, 0), (0, 0, 1, 0), (19, -16, 1, 0)]
FRACTIONAL = [(3, 0, 0, 0), (0, 2.5, 0, 0), (1.3, -2.2, 1, 0), (0, 0, 1, 0)]
ROTATED = [*FRACTIONAL, (0, 0, 0, 15), (-3.2, 1.1, 1, -12.5)]


@pytest.fixture(params=PICTURES)
def picture(request):
    return PICTURES[request.param]


def moved(picture, *moves, size=None, whole_pixels=False, rotates=False):
    """One picture moved in each of these ways: float32 [ways, height, width, 3]."""
    height, width = size or picture.shape[:2]
    layer = MovedPictures(height, width, whole_pixels=whole_pixels, rotates=rotates)
    pictures = np.repeat(picture[None], len(moves), axis=0)
    return keras.ops.convert_to_numpy(layer((pictures, np.array(moves, np.float32))))


def resized(pictures, size):
    layer = MovedPictures(height=size[0], width=size[1], whole_pixels=False, rotates=False)
    return keras.ops.convert_to_numpy(layer((pictures,)))


def interpolated(picture, move):
    """The float64 reference: linear in both directions, edges repeated."""
    down, right, mirrored, degrees = move
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    # Undo the shift, then the rotation about the centre, counterclockwise as seen (rows grow downwards).
    y, x = rows - down - (height - 1) / 2, columns - right - (width - 1) / 2
    angle = np.deg2rad(degrees)
    x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    y, x = (y + (height - 1) / 2).clip(0, height - 1), (x + (width - 1) / 2).clip(0, width - 1)
    start = (picture[:, ::-1] if mirrored else picture).astype(np.float64)
    return np.stack([map_coordinates(start[..., c], (y, x), order=1, mode="nearest") for c in range(3)], axis=-1)


def padded_and_cut(picture, move):
    """The reference for whole pixels."""
    down, right, mirrored, _ = move
    height, width = picture.shape[:2]
    margin = max(abs(down), abs(right))
    start = picture[:, ::-1] if mirrored else picture
    padded = np.pad(start, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    return padded[margin - down : margin - down + height, margin - right : margin - right + width]


def resized_by_pillow(picture, size, mode):
    """With mode "F" Pillow computes in floating point; with "L" it rounds to whole grey levels."""
    channels = [Image.fromarray(channel).convert(mode) for channel in np.moveaxis(picture, -1, 0)]
    shape = size[::-1]
    return np.stack([np.asarray(c.resize(shape, Image.Resampling.BILINEAR), np.float64) for c in channels], axis=-1)


def test_whole_pixels_are_cut_from_the_picture_padded_by_reflection(picture):
    for result, move in zip(moved(picture, *WHOLE, whole_pixels=True), WHOLE, strict=True):
        np.testing.assert_array_equal(result, padded_and_cut(picture, move))


def test_parts_of_pixels_are_interpolated_and_edges_repeated(picture):
    for result, move in zip(moved(picture, *FRACTIONAL), FRACTIONAL, strict=True):
        np.testing.assert_allclose(result, interpolated(picture, move), atol=2e-3)


def test_rotations_are_interpolated_and_edges_repeated(picture):
    for result, move in zip(moved(picture, *ROTATED, rotates=True), ROTATED, strict=True):
        np.testing.assert_allclose(result, interpolated(picture, move), atol=2e-3)


@pytest.mark.parametrize("move", ROTATED)
def test_moves_agree_with_image_data_generator(move):
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    down, right, mirrored, degrees = move
    picture = PICTURES["square"].astype(np.float32)
    # There tx and ty say where each output pixel is taken from, so content moves the other way.
    expected = ImageDataGenerator(fill_mode="nearest").apply_transform(
        picture[:, ::-1].copy() if mirrored else picture, {"theta": degrees, "tx": -right, "ty": -down}
    )
    np.testing.assert_allclose(moved(picture, move, rotates=degrees != 0)[0], expected, atol=2e-3)


@pytest.mark.parametrize("whole_pixels", [False, True])
@pytest.mark.parametrize("rotates", [False, True])
def test_no_move_changes_no_bit(picture, whole_pixels, rotates):
    result = moved(picture, (0, 0, 0, 0), whole_pixels=whole_pixels, rotates=rotates)
    np.testing.assert_array_equal(result[0], picture)


@pytest.mark.parametrize("size", [(20, 20), (13, 24), (40, 36)])
def test_resizing_agrees_with_pillow(picture, size):
    result = resized(picture[None], size)[0]
    # Pillow rounds its result, and before that the weights and what one direction alone gives.
    np.testing.assert_allclose(result, resized_by_pillow(picture, size, "L"), atol=1.01)
    np.testing.assert_allclose(result, resized_by_pillow(picture, size, "F"), atol=1e-3)


def test_the_same_size_is_the_same_picture(picture):
    np.testing.assert_array_equal(resized(picture[None], picture.shape[:2])[0], picture)


@pytest.mark.parametrize("size", [(15, 24), (32, 25)])
@pytest.mark.parametrize(("whole_pixels", "rotates"), [(True, False), (False, False), (False, True)])
def test_pictures_are_moved_first_and_then_resized(picture, size, whole_pixels, rotates):
    moves = WHOLE if whole_pixels else ROTATED if rotates else FRACTIONAL
    ways = {"whole_pixels": whole_pixels, "rotates": rotates}
    expected = resized(moved(picture, *moves, **ways), size)
    np.testing.assert_allclose(moved(picture, *moves, size=size, **ways), expected, atol=1e-3)


def moved_batch(pictures, moves):
    """Through a graph compiled for any number of pictures, as in training."""
    _, height, width, _ = pictures.shape
    inputs = keras.Input((height, width, 3), dtype="uint8"), keras.Input((4,))
    layer = MovedPictures(height, width, whole_pixels=False, rotates=False)
    return keras.Model(inputs, layer(inputs)).predict_on_batch((pictures, moves))


def test_each_picture_of_a_batch_gets_its_own_move():
    pictures = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    moves = np.array([(1.5, 0, 0, 0), (0, 0, 1, 0), (0, -2, 0, 0), (0, 0, 0, 0)], np.float32)
    together = moved_batch(pictures, moves)
    for picture, move, result in zip(pictures, moves, together, strict=True):
        np.testing.assert_array_equal(result, moved(picture, move)[0])


def test_bfloat16_networks_get_exact_pictures(picture):
    move = (1.3, -2.2, 1, 0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = moved(picture, move)[0]
    finally:
        keras.config.set_dtype_policy(before)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, interpolated(picture, move), atol=2e-3)
