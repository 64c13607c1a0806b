"""Fit of an image into the input of a network, compared with Pillow's own functions on real images."""

import io
import tarfile
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.data.images import encode, over_white, photo, write

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import decode, fit_pixels, read_header
from saccade.data.decoding.decode_files import decode_files
from saccade.data.decoding.fit import jpeg_reduction
from saccade.data.sources.archives import archive_hash, unpacked
from saccade.errors import ImageError
from saccade.image_fit import Fit

SMALL = Preprocessing(8, 8)
HEIGHT, WIDTH = 48, 40  # small images are not reduced by the JPEG decoder, and no side is right by chance
REFERENCES = {
    "crop": lambda image: ImageOps.fit(image, (WIDTH, HEIGHT), Image.Resampling.BICUBIC),
    "pad": lambda image: ImageOps.pad(image, (WIDTH, HEIGHT), Image.Resampling.BICUBIC, color="white"),
    "squash": lambda image: image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC),
}


def require_pixels_of_pillow(contents, fit):
    """Require the pixels of Pillow's own functions; with fit "crop", Pillow rounds the edges of the box differently."""
    pixels = decode(contents, Preprocessing(HEIGHT, WIDTH, fit=fit)).pixels
    expected = np.asarray(REFERENCES[fit](Image.fromarray(over_white(contents))))
    np.testing.assert_allclose(pixels.astype(int), expected.astype(int), atol=1 if fit == "crop" else 0)


def photographs(archive, step):
    """Yield the contents of every `step`-th image of an archive."""
    with tarfile.open(archive) as opened:
        members = [member for member in opened if member.isfile() and member.name.lower().endswith(("jpg", "png"))]
        for member in members[::step]:
            content = opened.extractfile(member)
            assert content is not None
            yield content.read()


@pytest.mark.parametrize("fit", REFERENCES)
def test_photographs_of_all_modes_have_the_pixels_of_pillow(shared_data, field_cases, fit):
    wide = [path.read_bytes() for path in sorted((field_cases / "pixels/wide").rglob("*.png"))[::6]]
    scans = list(photographs(shared_data / "brain_mri.tar", 5))
    assert {read_header(contents).mode for contents in scans} >= {"RGB", "L"}
    for contents in [*wide, *map(as_png, scans)]:
        require_pixels_of_pillow(contents, fit)


def as_png(contents):
    """Return an image as a PNG of at most 300 pixels a side, with its EXIF orientation; no decoder reduces a PNG."""
    with Image.open(io.BytesIO(contents)) as image:
        image.thumbnail((300, 300))
        return encode(image, "PNG", exif=image.getexif(), compress_level=1)


@pytest.mark.parametrize("fit", REFERENCES)
def test_transparent_16_bit_and_rotated_images_have_the_pixels_of_pillow(shared_data, fit):
    archive = shared_data / "odd-images.tar.xz"
    compared = set()
    with unpacked(archive, archive_hash(archive)) as folder:
        for path in [*folder.rglob("pngsuite/**/*.png"), *folder.rglob("exif/**/*.jpg")]:
            contents = path.read_bytes()
            try:
                header = read_header(contents)
                decode(contents, SMALL)
            except ImageError:
                continue
            if max(header.height, header.width) < 20 * min(header.height, header.width):  # else Pillow keeps no pixel
                require_pixels_of_pillow(as_png(contents) if path.suffix == ".jpg" else contents, fit)
                compared.add(header.mode)
    assert compared >= {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_edges_lie_above_and_below_an_upright_wide_image(orientation):
    stored = Image.fromarray(np.full((10, 40, 3), 90, np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(encode(stored, "PNG", exif=exif), Preprocessing(40, 40, (0, 99, 0), fit="pad")).pixels
    upright = pixels if orientation == 1 else pixels.transpose(1, 0, 2)
    assert (upright[15:25] == 90).all()
    for edge in (upright[:15], upright[25:]):
        assert (edge == (0, 99, 0)).all()


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1), (1, 1), (2, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("fit", REFERENCES)
def test_an_image_of_a_single_row_or_column_keeps_its_pixels(shape, kind, fit):
    pixels = decode(encode(np.full((*shape, 3), 77, np.uint8), kind), Preprocessing(8, 8, fit=fit)).pixels
    assert pixels.shape == (8, 8, 3)
    kept = np.abs(pixels.astype(int) - 77).max(axis=2) <= 1
    long = max(shape) > 8
    assert kept.sum() == {"crop": 64, "pad": 8 if long else 64 // max(shape), "squash": 64}[fit]


@pytest.mark.parametrize("fit", REFERENCES)
def test_an_image_of_the_right_size_is_unchanged_and_an_array_has_the_pixels_of_its_file(fit):
    image, preprocessing = photo(30, 70), Preprocessing(30, 70, fit=fit)
    np.testing.assert_array_equal(decode(encode(image, "PNG"), preprocessing).pixels, image)
    smaller = Preprocessing(20, 20, fit=fit)
    np.testing.assert_array_equal(fit_pixels(image, smaller), decode(encode(image, "PNG"), smaller).pixels)


def test_square_images_are_equal_with_every_fit():
    encoded = encode(photo(50, 50), "PNG")
    crop, pad, squash = (decode(encoded, Preprocessing(32, 32, fit=fit)).pixels for fit in get_args(Fit))
    np.testing.assert_array_equal(pad, squash)
    np.testing.assert_array_equal(crop, squash)


@pytest.mark.parametrize(
    ("size", "crop", "pad"),
    [
        ((4000, 3000), 4, 8),
        ((3000, 4000), 4, 8),
        ((7168, 3584), 8, 8),
        ((3584, 896), 2, 8),
        ((3583, 895), 1, 4),
        ((896, 1), 1, 2),
        ((895, 895), 1, 1),
    ],
)
def test_a_jpeg_is_reduced_to_twice_the_size_that_its_fit_needs(size, crop, pad):
    found = [jpeg_reduction(size, Preprocessing(224, 200, fit=fit)) for fit in ("crop", "pad", "squash")]
    assert found == [crop, pad, crop]
    assert jpeg_reduction(size, Preprocessing(0, 0)) == 1


@pytest.mark.parametrize("fit", REFERENCES)
def test_a_reduced_jpeg_equals_a_resized_png_approximately(shared_data, fit):
    for contents in photographs(shared_data / "clothing.tar", 500):
        with Image.open(io.BytesIO(contents)) as image:
            large = image.convert("RGB").resize((3 * image.width, 3 * image.height), Image.Resampling.BICUBIC)
        preprocessing = Preprocessing(64, 64, fit=fit)
        assert jpeg_reduction(large.size, preprocessing) > 1
        from_jpeg = decode(encode(large, "JPEG", quality=95), preprocessing).pixels.astype(int)
        from_png = decode(encode(large, "PNG"), preprocessing).pixels
        assert np.abs(from_jpeg - from_png).mean() < 3


@pytest.mark.parametrize("fit", REFERENCES)
def test_decoding_processes_get_the_fit(tmp_path, fit):
    paths = [write(tmp_path / f"{number}.png", encode(photo(20, 50, seed=number), "PNG")) for number in range(4)]
    preprocessing = Preprocessing(16, 16, background=(9, 8, 7), fit=fit)
    decoded = np.concatenate([chunk.pixels for chunk in decode_files(paths, preprocessing, chunk=2)])
    for pixels, path in zip(decoded, paths, strict=True):
        np.testing.assert_array_equal(pixels, decode(path.read_bytes(), preprocessing).pixels)
