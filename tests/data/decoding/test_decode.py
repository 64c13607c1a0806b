import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from tests.data.images import encode, photo

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import decode, fit_pixels, read_header
from saccade.errors import DataError, ImageError


def outcome_of(encoded):
    try:
        return decode(encoded, Preprocessing(8, 8)).pixels.shape
    except ImageError as error:
        return error.problem


FORMATS = {kind: kind for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "AVIF")} | {"WebP": "WEBP"}
PHOTO = Image.fromarray(photo())


def reason(encoded, preprocessing=None):
    with pytest.raises(ImageError) as caught:
        decode(encoded, preprocessing)
    return caught.value.problem


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_gives_the_pixels_of_pillow_and_the_header(kind):
    encoded = encode(PHOTO, FORMATS[kind])
    decoded = decode(encoded)
    np.testing.assert_array_equal(decoded.pixels, np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")))
    assert decoded.pixels.dtype == np.uint8
    assert decoded.header[:4] == (kind, "P" if kind == "GIF" else "RGB", 48, 64)
    assert read_header(encoded) == decoded.header


@pytest.mark.parametrize(("mode", "kind"), [("1", "PNG"), ("L", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "BMP")])
def test_gray_one_bit_cmyk_and_palette_become_rgb(mode, kind):
    encoded = encode(PHOTO.convert(mode), kind)
    expected = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    np.testing.assert_array_equal(decode(encoded).pixels, expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_gray_is_scaled_not_clipped(order):
    gray = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = decode(encode(Image.fromarray(gray), "PNG")).pixels
    np.testing.assert_array_equal(pixels[:, :, 1], gray >> 8)
    assert len(np.unique(pixels)) == 256


def test_16_bit_gray_shows_the_background_where_it_is_transparent():
    gray = np.array([[0, 1000, 65535]], np.uint16)
    encoded = encode(Image.fromarray(gray), "PNG")
    chunk = b"tRNS" + struct.pack(">H", 1000)
    start = encoded.index(b"IDAT") - 4
    encoded = encoded[:start] + struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk)) + encoded[start:]
    pixels = decode(encoded, Preprocessing(1, 3, background=(7, 8, 9))).pixels
    assert pixels.tolist() == [[[0, 0, 0], [7, 8, 9], [255, 255, 255]]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_shows_the_background(mode):
    image = Image.fromarray(photo()).convert(mode)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    pixels = decode(encode(image, "PNG"), Preprocessing(48, 64, background=(0, 255, 0))).pixels
    below = Image.new("RGBA", image.size, (0, 255, 0, 255))
    expected = np.asarray(Image.alpha_composite(below, image.convert("RGBA")).convert("RGB"))
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_transparent_palette_entries_show_the_background():
    image = PHOTO.convert("P", palette=Image.Palette.ADAPTIVE)
    hidden = np.asarray(image) == 0
    for kind in ("PNG", "GIF"):
        pixels = decode(encode(image, kind, transparency=0)).pixels
        assert (pixels[hidden] == 255).all()
        assert not (pixels[~hidden] == 255).all()


def test_only_the_first_frame_of_an_animation_is_read():
    frames = [Image.fromarray(photo(seed=seed)) for seed in range(3)]
    for kind in ("GIF", "WEBP", "PNG"):
        single = decode(encode(frames[0], kind)).pixels.astype(int)
        animated = decode(encode(frames[0], kind, save_all=True, append_images=frames[1:])).pixels
        # WebP is lossy and GIF chooses other palettes; another frame would be far off.
        assert np.abs(animated - single).mean() < 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(kind, orientation):
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = PHOTO.transpose(turned[orientation]) if orientation > 1 else PHOTO
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = encode(stored, kind, exif=exif)
    decoded = decode(encoded)
    assert (decoded.header.height, decoded.header.width) == decoded.pixels.shape[:2] == (48, 64)
    assert np.abs(decoded.pixels.astype(int) - np.asarray(PHOTO)).mean() < 8
    assert read_header(encoded) == decoded.header


def test_an_image_with_damaged_exif_is_readable():
    encoded = encode(PHOTO, "JPEG", exif=b"Exif\0\0nonsense")
    assert decode(encoded).pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("kind", FORMATS)
def test_truncated_images_are_unreadable(kind):
    encoded = encode(PHOTO, FORMATS[kind])
    whole = decode(encoded).pixels
    for length in [*range(0, len(encoded), max(1, len(encoded) // 60)), len(encoded) - 2]:
        try:
            pixels = decode(encoded[:length]).pixels
        except ImageError:
            continue
        assert length > len(encoded) - 3, f"{length} of {len(encoded)} bytes were taken for an image"
        np.testing.assert_array_equal(pixels, whole)
    assert "truncated" in reason(encoded[: len(encoded) // 2]) or kind in ("WebP", "GIF", "AVIF")


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_images_are_decoded_or_unreadable_but_raise_nothing_else(kind):
    encoded = encode(PHOTO, FORMATS[kind])
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(encoded)
        for position in rng.integers(0, min(len(encoded), 400), 3):
            damaged[position] = rng.integers(256)
        outcome = outcome_of(bytes(damaged))
        assert outcome == (8, 8, 3) or (len(outcome) < 160 and outcome.isprintable())


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (b"", "empty file"),
        (b"hello, this is no image", "not an image: it looks like text"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not an image: it looks like an HTML page"),
        (b"<?xml version='1.0'?><svg></svg>", "not an image: it looks like an SVG drawing"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "not an image: it looks like a Git LFS pointer, not the file ",
        ),
        (b"%PDF-1.7 ...", "not an image: it looks like a PDF document"),
        (bytes(100), "not an image: it looks like unknown binary data"),
        (b"BM is how this text begins, though it is no bitmap", "not an image: it looks like text"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "damaged HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "truncated AVIF"),
        (b"II*\0", "truncated TIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 images are not supported: convert them to JPEG or PNG"),
        (b"\xff\xd8\xff\xe0", "truncated JPEG"),
    ],
)
def test_other_files_are_unreadable_with_a_reason(contents, expected):
    assert reason(contents).startswith(expected)
    with pytest.raises(ImageError):
        read_header(contents)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_with_too_many_pixels_is_unreadable_before_decoding(kind):
    encoded = encode(PHOTO, FORMATS[kind])
    assert decode(encoded, Preprocessing(8, 8, max_pixels=48 * 64)).pixels.shape == (8, 8, 3)
    assert reason(encoded, Preprocessing(8, 8, max_pixels=48 * 64 - 1)).startswith("too large: 64 x 48 pixels")


def test_a_png_with_too_many_pixels_in_its_header_is_unreadable():
    encoded = bytearray(encode(PHOTO, "PNG"))
    encoded[16:24] = struct.pack(">II", 20_000, 10_000)
    encoded[29:33] = struct.pack(">I", zlib.crc32(encoded[12:29]))
    assert reason(bytes(encoded)) == "too large: 20000 x 10000 pixels, more than 100 megapixels"


def test_warnings_of_pillow_are_ignored_whatever_the_filters_of_the_caller():
    image = Image.fromarray(photo())
    exif = Image.Exif()
    exif[0x0112] = 6
    damaged = encode(image, "JPEG", exif=exif).replace(
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01", b"Exif\0\0MM\0*\0\0\0\x08\0\x09"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loud = decode(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(decode(damaged).pixels, loud.pixels)
    assert not caught


def test_resizing_covers_the_size_and_crops_the_center():
    wide = Image.fromarray(photo(40, 120))
    expected = wide.resize((60, 20), Image.Resampling.BICUBIC).crop((20, 0, 40, 20))
    np.testing.assert_array_equal(decode(encode(wide, "PNG"), Preprocessing(20, 20)).pixels, np.asarray(expected))
    tall = decode(encode(wide.transpose(Image.Transpose.TRANSPOSE), "PNG"), Preprocessing(20, 20))
    np.testing.assert_array_equal(tall.pixels, np.asarray(expected.transpose(Image.Transpose.TRANSPOSE)))
    assert (tall.header.height, tall.header.width) == (120, 40)


def test_resizing_does_not_alias():
    checks = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = decode(encode(np.repeat(checks[:, :, None], 3, axis=2), "PNG"), Preprocessing(32, 32)).pixels
    assert np.abs(pixels.astype(int) - 127).max() < 10


def test_small_images_are_enlarged_and_an_image_of_the_right_size_is_unchanged():
    assert decode(encode(photo(8, 8), "PNG"), Preprocessing(32, 48)).pixels.shape == (32, 48, 3)
    np.testing.assert_array_equal(decode(encode(photo(32, 48), "PNG"), Preprocessing(32, 48)).pixels, photo(32, 48))
    np.testing.assert_array_equal(fit_pixels(photo(32, 48), Preprocessing(32, 48)), photo(32, 48))


def test_a_large_jpeg_reduced_by_its_decoder_equals_a_resized_png_approximately():
    y, x = np.mgrid[:1200, :1600] / 1600
    smooth = np.uint8(np.stack([255 * x, 255 * y, 127 + 100 * np.sin(9 * x * y)], axis=2))
    from_jpeg = decode(encode(smooth, "JPEG", quality=95), Preprocessing(64, 64)).pixels.astype(int)
    from_png = decode(encode(smooth, "PNG"), Preprocessing(64, 64)).pixels
    assert np.abs(from_jpeg - from_png).max() <= 6


def test_a_long_thin_image_is_resized():
    assert decode(encode(photo(1, 60_000), "PNG"), Preprocessing(224, 224)).pixels.shape == (224, 224, 3)


def test_threads_get_the_same_pixels():
    encoded = [encode(photo(seed=seed), kind) for seed in range(10) for kind in ("GIF", "PNG", "WEBP")]
    expected = [decode(contents).pixels for contents in encoded]
    found = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: [decode(contents).pixels for contents in encoded]}))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pixels in found.values():
        assert all((a == b).all() for a, b in zip(pixels, expected, strict=True))
    assert len(found) == 4


def test_the_environment_sets_the_limit_of_pixels(monkeypatch):
    contents = encode(Image.new("1", (1500, 1000)), "PNG")
    monkeypatch.setenv("SACCADE_MAX_MEGAPIXELS", "1")
    with pytest.raises(ImageError, match="too large: 1500 x 1000 pixels, more than 1 megapixels"):
        decode(contents, Preprocessing(8, 8))
    monkeypatch.setenv("SACCADE_MAX_MEGAPIXELS", "many")
    with pytest.raises(DataError, match="limit of pixels"):
        Preprocessing(8, 8)
