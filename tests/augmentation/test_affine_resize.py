import keras
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

from saccade.augmentation.affine_resize import AffineResize

pytestmark = pytest.mark.backends

IMAGES = {
    "square": np.random.default_rng(7).integers(0, 256, (32, 32, 3), np.uint8),
    "wide": np.random.default_rng(8).integers(0, 256, (20, 33, 3), np.uint8),
}
# Pixels down, pixels right, mirrored, degrees.
WHOLE = [(3, 0, 0, 0), (0, -2, 0, 0), (-3, 3, 1, 0), (0, 0, 1, 0), (19, -16, 1, 0)]
FRACTIONAL = [(3, 0, 0, 0), (0, 2.5, 0, 0), (1.3, -2.2, 1, 0), (0, 0, 1, 0)]
ROTATED = [*FRACTIONAL, (0, 0, 0, 15), (-3.2, 1.1, 1, -12.5)]


@pytest.fixture(params=IMAGES)
def image(request):
    return IMAGES[request.param]


def transformed(image, *augmentations, size=None, integer_translate=False, rotates=False):
    """Apply augmentation parameters to one image: float32 [augmentations, height, width, 3]."""
    height, width = size or image.shape[:2]
    layer = AffineResize(height, width, integer_translate=integer_translate, rotates=rotates)
    images = np.repeat(image[None], len(augmentations), axis=0)
    return keras.ops.convert_to_numpy(layer((images, np.array(augmentations, np.float32))))


def resized(images, size):
    layer = AffineResize(height=size[0], width=size[1], integer_translate=False, rotates=False)
    return keras.ops.convert_to_numpy(layer((images,)))


def interpolated(image, augmentation):
    """Compute the float64 reference: bilinear interpolation, edges repeated."""
    down, right, mirrored, degrees = augmentation
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    # Undo the shift, then the rotation about the center, counterclockwise as seen (rows grow downwards).
    y, x = rows - down - (height - 1) / 2, columns - right - (width - 1) / 2
    angle = np.deg2rad(degrees)
    x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    y, x = (y + (height - 1) / 2).clip(0, height - 1), (x + (width - 1) / 2).clip(0, width - 1)
    start = (image[:, ::-1] if mirrored else image).astype(np.float64)
    return np.stack([map_coordinates(start[..., c], (y, x), order=1, mode="nearest") for c in range(3)], axis=-1)


def padded_and_cut(image, augmentation):
    """Compute the reference for integer translation."""
    down, right, mirrored, _ = augmentation
    height, width = image.shape[:2]
    margin = max(abs(down), abs(right))
    start = image[:, ::-1] if mirrored else image
    padded = np.pad(start, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    return padded[margin - down : margin - down + height, margin - right : margin - right + width]


def resized_by_pillow(image, size, mode):
    """Resize by Pillow, in floating point for mode "F", rounded to whole gray levels for mode "L"."""
    channels = [Image.fromarray(channel).convert(mode) for channel in np.moveaxis(image, -1, 0)]
    shape = size[::-1]
    return np.stack([np.asarray(c.resize(shape, Image.Resampling.BILINEAR), np.float64) for c in channels], axis=-1)


def test_integer_translation_reflects_edges(image):
    for result, augmentation in zip(transformed(image, *WHOLE, integer_translate=True), WHOLE, strict=True):
        np.testing.assert_array_equal(result, padded_and_cut(image, augmentation))


def test_fractional_translation_interpolates_and_repeats_edges(image):
    for result, augmentation in zip(transformed(image, *FRACTIONAL), FRACTIONAL, strict=True):
        np.testing.assert_allclose(result, interpolated(image, augmentation), atol=2e-3)


def test_rotation_interpolates_and_repeats_edges(image):
    for result, augmentation in zip(transformed(image, *ROTATED, rotates=True), ROTATED, strict=True):
        np.testing.assert_allclose(result, interpolated(image, augmentation), atol=2e-3)


@pytest.mark.parametrize("augmentation", ROTATED)
def test_augmentations_agree_with_image_data_generator(augmentation):
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    down, right, mirrored, degrees = augmentation
    image = IMAGES["square"].astype(np.float32)
    # In Keras tx and ty shift the source coordinates, so the content is shifted in the opposite direction.
    expected = ImageDataGenerator(fill_mode="nearest").apply_transform(
        image[:, ::-1].copy() if mirrored else image, {"theta": degrees, "tx": -right, "ty": -down}
    )
    np.testing.assert_allclose(transformed(image, augmentation, rotates=degrees != 0)[0], expected, atol=2e-3)


@pytest.mark.parametrize("integer_translate", [False, True])
@pytest.mark.parametrize("rotates", [False, True])
def test_identity_parameters_keep_every_bit(image, integer_translate, rotates):
    result = transformed(image, (0, 0, 0, 0), integer_translate=integer_translate, rotates=rotates)
    np.testing.assert_array_equal(result[0], image)


@pytest.mark.parametrize("size", [(20, 20), (13, 24), (40, 36)])
def test_resizing_agrees_with_pillow(image, size):
    result = resized(image[None], size)[0]
    # Pillow rounds the result, and before that the weights and the result of the first direction.
    np.testing.assert_allclose(result, resized_by_pillow(image, size, "L"), atol=1.01)
    np.testing.assert_allclose(result, resized_by_pillow(image, size, "F"), atol=1e-3)


def test_resizing_to_the_same_size_changes_nothing(image):
    np.testing.assert_array_equal(resized(image[None], image.shape[:2])[0], image)


@pytest.mark.parametrize("size", [(15, 24), (32, 25)])
@pytest.mark.parametrize(("integer_translate", "rotates"), [(True, False), (False, False), (False, True)])
def test_images_are_augmented_first_and_then_resized(image, size, integer_translate, rotates):
    augmentations = WHOLE if integer_translate else ROTATED if rotates else FRACTIONAL
    settings = {"integer_translate": integer_translate, "rotates": rotates}
    expected = resized(transformed(image, *augmentations, **settings), size)
    np.testing.assert_allclose(transformed(image, *augmentations, size=size, **settings), expected, atol=1e-3)


def transformed_batch(images, augmentations):
    """Apply augmentation in a compiled model for any batch size, as in training."""
    _, height, width, _ = images.shape
    inputs = keras.Input((height, width, 3), dtype="uint8"), keras.Input((4,))
    layer = AffineResize(height, width, integer_translate=False, rotates=False)
    return keras.Model(inputs, layer(inputs)).predict_on_batch((images, augmentations))


def test_each_image_of_a_batch_has_its_own_parameters():
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    augmentations = np.array([(1.5, 0, 0, 0), (0, 0, 1, 0), (0, -2, 0, 0), (0, 0, 0, 0)], np.float32)
    together = transformed_batch(images, augmentations)
    for image, augmentation, result in zip(images, augmentations, together, strict=True):
        np.testing.assert_array_equal(result, transformed(image, augmentation)[0])


def test_images_are_float32_under_a_bfloat16_policy(image):
    augmentation = (1.3, -2.2, 1, 0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = transformed(image, augmentation)[0]
    finally:
        keras.config.set_dtype_policy(before)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, interpolated(image, augmentation), atol=2e-3)
