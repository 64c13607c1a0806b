"""Color profiles against the formulas of the color spaces in float64."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.data.decoding.icc import SPACES, profile, to_srgb

from saccade.data.decoding.decode import decode

COLORS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def encoded(image, kind, contents, **options):
    stream = io.BytesIO()
    image.save(stream, kind, icc_profile=contents, **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_colors_become_srgb(name, kind, options):
    decoded = decode(encoded(Image.fromarray(COLORS), kind, profile(name), **options))
    assert np.abs(decoded.pixels - to_srgb(COLORS, name)).max() < 1
    assert not decoded.has_unusable_profile


@pytest.mark.parametrize("name", ["Display P3", "Adobe RGB (1998)"])
@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_colors_of_lossy_formats_become_srgb(name, kind):
    image = Image.fromarray(COLORS)
    with_profile = decode(encoded(image, kind, profile(name))).pixels
    without = decode(encoded(image, kind, None)).pixels
    assert np.abs(with_profile - to_srgb(without, name)).max() < 1
    assert np.abs(with_profile.astype(int) - without).mean() > 2


def test_transparent_colors_become_srgb_before_the_background():
    opacity = np.random.default_rng(1).integers(0, 256, (40, 50, 1), dtype=np.uint8)
    image = Image.fromarray(np.concatenate([COLORS, opacity], axis=2))
    pixels = decode(encoded(image, "PNG", profile("Display P3"))).pixels
    share = opacity / 255
    assert np.abs(pixels - (to_srgb(COLORS, "Display P3") * share + 255 * (1 - share))).max() < 2


def test_the_profile_of_another_program_for_srgb_changes_no_pixel():
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for contents in (own, profile("sRGB")):
        assert (decode(encoded(Image.fromarray(COLORS), "PNG", contents)).pixels == COLORS).all()


@pytest.mark.parametrize(
    "contents", [b"no profile", profile("Display P3")[:200], profile("Display P3")[:128] + bytes(3000)]
)
def test_an_unusable_profile_is_ignored(contents):
    decoded = decode(encoded(Image.fromarray(COLORS), "PNG", contents))
    assert (decoded.pixels == COLORS).all()
    assert decoded.has_unusable_profile


def test_profiles_of_gray_and_of_cmyk_are_not_used():
    gray = Image.fromarray(COLORS[:, :, 0])
    decoded = decode(encoded(gray, "PNG", profile("Display P3")))
    assert (decoded.pixels == COLORS[:, :, :1]).all()
    cmyk = Image.fromarray(COLORS).convert("CMYK")
    decoded = decode(encoded(cmyk, "JPEG", profile("Display P3", b"CMYK")))
    assert (decoded.pixels == decode(encoded(cmyk, "JPEG", None)).pixels).all()
    assert not decoded.has_unusable_profile
