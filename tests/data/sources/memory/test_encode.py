"""Images in memory as files without loss: the decoder gives the pixels that went in."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.data.decoding.icc import profile
from tests.data.images import encode, photo

from saccade.data.decoding.decode import decode
from saccade.data.sources.memory.encode import encode_array, encode_image, is_image
from saccade.errors import DataError

COLORS = photo(30, 50)
GRAY = COLORS[:, :, 0]


def shown(value, **options):
    return decode(encode_image(value, **options)).pixels


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (COLORS, COLORS),
        (GRAY, GRAY[:, :, None]),
        (GRAY[:, :, None], GRAY[:, :, None]),
        (COLORS.astype(np.int64), COLORS),
        (COLORS.astype(np.float32), COLORS),
        (COLORS / 255, COLORS),
        ((COLORS / 255).astype(np.float16), COLORS),
        (COLORS.astype(np.uint16) * 257, COLORS),
        (GRAY.astype(np.uint16) * 257, GRAY[:, :, None]),
        (GRAY > 100, (GRAY > 100)[:, :, None] * np.uint8(255)),
        (COLORS[::-1, ::2], COLORS[::-1, ::2]),
        (np.zeros((4, 4, 3)), np.zeros((4, 4, 3))),
    ],
)
def test_arrays(values, expected):
    pixels = shown(values)
    np.testing.assert_array_equal(pixels, np.broadcast_to(expected, pixels.shape))


def test_a_transparent_array_is_laid_over_white():
    opacity = photo(30, 50, seed=1)[:, :, :1]
    pixels = shown(np.concatenate([COLORS, opacity], axis=2))
    assert np.abs(pixels - (COLORS * (opacity / 255) + 255 * (1 - opacity / 255))).max() <= 1


def test_the_range_of_several_arrays_is_one():
    dark = np.full((4, 4, 3), 0.5)
    assert shown(dark).max() == 128
    assert shown(dark, largest=200.0).max() == 0  # the other arrays are from 0 to 255


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.full((4, 4), -1), "values from -1 to -1"),
        (np.full((4, 4), 256), "values from 256 to 256"),
        (np.full((4, 4), np.nan), "values from nan to nan"),
        (np.full((4, 4), 300.0), "values from 300 to 300"),
        (np.full((4, 4), "x"), "an array of <U1"),
        (np.full((4, 4), 1j), "an array of complex128"),
        (np.zeros((4, 4, 2)), "the shape [4, 4, 2]"),
        (np.zeros((2, 4, 4, 3)), "the shape [2, 4, 4, 3]"),
        (np.zeros((0, 4, 3)), "the shape [0, 4, 3]"),
    ],
)
def test_other_arrays_are_an_error(values, found):
    with pytest.raises(DataError) as caught:
        encode_array(values)
    assert str(caught.value.found) == found


def jpeg(**options):
    return encode(COLORS, "JPEG", **options)


def exif(orientation):
    data = Image.Exif()
    data[274] = orientation
    return data


@pytest.mark.parametrize(
    "contents",
    [
        jpeg(),
        *(jpeg(exif=exif(orientation)) for orientation in range(2, 9)),
        jpeg(icc_profile=profile("Display P3")),
        jpeg(icc_profile=b"no profile"),
        encode(Image.fromarray(COLORS).convert("CMYK"), "JPEG"),
        encode(Image.fromarray(COLORS).convert("LA"), "PNG"),
        encode(Image.fromarray(COLORS).convert("1"), "PNG"),
        encode(Image.fromarray(COLORS).quantize(9), "PNG", transparency=2),
        encode(GRAY, "PNG", transparency=int(GRAY[0, 0])),
        encode(GRAY.astype(np.uint16) * 200, "PNG", transparency=int(GRAY[0, 0]) * 200),
        encode(np.float32(GRAY) / 255, "TIFF"),
        encode(COLORS, "TIFF", compression="jpeg"),
        encode(np.concatenate([COLORS, COLORS[:, :, :1]], axis=2), "AVIF"),
        encode(Image.fromarray(COLORS).quantize(9), "GIF", save_all=True, append_images=[Image.new("L", (50, 30))]),
    ],
)
@pytest.mark.parametrize("loaded", [False, True])
def test_an_image_of_pillow_has_the_pixels_of_its_file(contents, loaded):
    image = Image.open(io.BytesIO(contents))
    if loaded:
        image.load()
    np.testing.assert_array_equal(shown(image), decode(contents).pixels)


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBa", "La"])
def test_other_modes_of_pillow_become_rgb(mode):
    image = Image.fromarray(COLORS).convert({"RGBa": "RGBA", "La": "LA"}.get(mode, "RGB")).convert(mode)
    whole = image.convert({"RGBa": "RGBA", "La": "LA"}.get(mode, "RGB")).convert("RGB")
    assert np.abs(shown(image).astype(int) - np.asarray(whole)).max() <= 1


def test_contents_and_open_files(tmp_path):
    contents = jpeg()
    (tmp_path / "a.jpg").write_bytes(contents)
    values: list[object] = [contents, bytearray(contents), memoryview(contents), io.BytesIO(contents)]
    for value in values:
        assert encode_image(value) == contents
    with (tmp_path / "a.jpg").open("rb") as stream:
        assert encode_image(stream) == contents
    with pytest.raises(DataError, match="an open file of an image gives text"):
        encode_image(io.StringIO("text"))


def test_one_image_or_several():
    assert [is_image(np.zeros(shape)) for shape in ((4, 4), (4, 4, 3), (4, 4, 1), (4, 4, 4))] == [True] * 4
    others: list[object] = [np.zeros((9, 4, 4, 3)), np.zeros((9, 28, 28)), "a.jpg", [], None]
    assert not any(map(is_image, others))
