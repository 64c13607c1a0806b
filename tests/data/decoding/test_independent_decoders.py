"""AVIF and HEIC images against the command-line decoders of libavif and libheif, as Debian packages them.

Debian's `libavif-bin` and `libheif-examples` have other versions of these libraries than Pillow and pi-heif, and
another decoder of AV1. TIFF images are compared with tifffile in `test_tiff.py`.
"""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from tests.data.decoding.test_tiff import TURNS
from tests.data.images import photo

from saccade.data.decoding.decode import decode

COUNT = 1000
pytestmark = pytest.mark.nightly


def over_white(path):
    """Return the pixels of a PNG file over white, by Pillow."""
    image = Image.open(path)
    if image.mode.startswith("I"):
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    colored = image.convert("RGBA")
    white = Image.new("RGBA", colored.size, "white")
    white.alpha_composite(colored)
    return np.asarray(white.convert("RGB"))


def drawn(draw, number, modes):
    """Return a random image and its mode."""
    height, width = (int(side) for side in 2 * draw.integers(4, 60, 2))
    mode = str(draw.choice(modes))
    image = Image.fromarray(photo(height, width, seed=number)).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(draw.integers(0, 256, (height, width), dtype=np.uint8)))
    return image


@pytest.mark.skipif(shutil.which("avifdec") is None, reason="avifdec, of Debian's libavif-bin, is not installed")
def test_avif(tmp_path):
    draw = np.random.default_rng(0)
    for number in range(COUNT):
        image = drawn(draw, number, ["RGB", "RGBA", "L", "LA"])
        turn = int(draw.integers(1, 9))
        exif = Image.Exif()
        exif[274] = turn
        sampling = "4:0:0" if image.mode == "L" else str(draw.choice(["4:2:0", "4:2:2", "4:4:4"]))
        path, png = tmp_path / "image.avif", tmp_path / "image.png"
        image.save(path, "AVIF", quality=int(draw.integers(30, 101)), subsampling=sampling, speed=9, exif=exif)
        subprocess.run(["avifdec", "-d", "8", "--jobs", "1", path, png], check=True, capture_output=True)
        # avifdec leaves the orientation to others, which read it in the PNG file.
        expected = TURNS[turn](over_white(png))
        decoded = decode(path.read_bytes())
        assert decoded.pixels.shape == expected.shape
        assert np.abs(decoded.pixels.astype(int) - expected).max() <= 1, (number, image.mode, sampling, turn)


@pytest.mark.skipif(shutil.which("heif-enc") is None, reason="heif-enc, of Debian's libheif-examples, is not installed")
def test_heic(tmp_path):
    draw, worst = np.random.default_rng(0), 0.0
    for number in range(COUNT):
        image = drawn(draw, number, ["RGB", "RGBA", "L"])
        source, path, png = tmp_path / "source.png", tmp_path / "image.heic", tmp_path / "image.png"
        image.save(source)
        sampling = str(draw.choice(["420", "444"]))
        options = ["-q", str(draw.integers(40, 101)), "-p", f"chroma={sampling}"]
        subprocess.run(["heif-enc", *options, source, "-o", path], check=True, capture_output=True)
        subprocess.run(["heif-convert", path, png], check=True, capture_output=True)
        expected, decoded = over_white(png), decode(path.read_bytes())
        assert decoded.header.format == "HEIC"
        assert decoded.pixels.shape == expected.shape
        difference = np.abs(decoded.pixels.astype(int) - expected)
        # Versions of libheif interpolate halved chroma differently.
        assert difference.max() <= 2 if sampling == "444" else difference.mean() <= 6, (number, image.mode, sampling)
        worst = max(worst, float(difference.mean()))
    assert worst > 0
