"""Mutations of real pictures, and bombs: no crash, no hang, two seconds and 500 MB at most for each."""

import csv
import io
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.pictures import encode, photo, write

from saccade.data.decode import decode

PROGRAM = Path(__file__).with_name("hostile_pictures.py")
BOMBS = Path(__file__).with_name("bombs.csv")


def outcomes(*arguments):
    result = subprocess.run([sys.executable, str(PROGRAM), *arguments], capture_output=True, text=True, check=False)
    sys.stdout.write(result.stderr)  # shown by `make test-nightly`, for docs/reliability.md
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row for row in rows if row["outcome"] == "lost"] == []
    assert result.returncode == 0, result.stderr
    return rows


@pytest.fixture(scope="module")
def real_pictures(tmp_path_factory):
    """Small real files of every format, most of their modes and options."""
    folder = tmp_path_factory.mktemp("real")
    colours = Image.fromarray(photo(40, 56))
    variants: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "colours.jpg": (colours, "JPEG", {}),
        "progressive.jpg": (colours, "JPEG", {"progressive": True, "quality": 60}),
        "grey.jpg": (colours.convert("L"), "JPEG", {}),
        "cmyk.jpg": (colours.convert("CMYK"), "JPEG", {}),
        "colours.png": (colours, "PNG", {}),
        "transparent.png": (colours.convert("RGBA"), "PNG", {}),
        "palette.png": (colours.quantize(20), "PNG", {"transparency": 3}),
        "bits.png": (colours.convert("1"), "PNG", {}),
        "deep.png": (Image.fromarray(np.uint16(photo(40, 56)[:, :, 0]) * 257), "PNG", {}),
        "colours.gif": (colours.quantize(64), "GIF", {}),
        "moving.gif": (colours.quantize(8), "GIF", {"save_all": True, "append_images": [colours.quantize(4)]}),
        "colours.bmp": (colours, "BMP", {}),
        "palette.bmp": (colours.quantize(16), "BMP", {}),
        "lossy.webp": (colours, "WEBP", {}),
        "lossless.webp": (colours.convert("RGBA"), "WEBP", {"lossless": True}),
    }
    for name, (image, kind, options) in variants.items():
        write(folder / name, encode(image, kind, **options))
    return sorted(folder.iterdir())


def test_mutations_are_decoded_or_refused_within_bounds(real_pictures):
    count = 5000
    rows = outcomes("mutations", str(count), "1", *map(str, real_pictures))
    assert len(rows) == count
    told = Counter(row["outcome"] for row in rows)
    sys.stdout.write(f"{count} mutations: {dict(told)}\n")
    assert told["refused"] > count / 5
    assert told["decoded"] > count / 20
    assert all(row["detail"] for row in rows)


@pytest.mark.nightly
def test_bombs_have_the_outcome_that_the_table_states():
    with BOMBS.open(newline="") as stream:
        assert outcomes("bombs") == list(csv.DictReader(stream))


def test_good_pictures_of_all_formats_are_pillow_s_own_pixels():
    """1,000 pictures of random sizes, formats, modes and options."""
    draw = np.random.default_rng(0)
    modes = {"JPEG": "RGB L CMYK", "PNG": "RGB L RGBA LA P 1", "GIF": "P L", "BMP": "RGB L P 1", "WEBP": "RGB RGBA"}
    for number in range(1000):
        kind = str(draw.choice(sorted(modes)))
        mode = str(draw.choice(modes[kind].split()))
        height, width = (int(side) for side in draw.integers(1, 90, 2))
        original = Image.fromarray(photo(height, width, seed=number))
        contents = encode(original.convert(mode), kind, quality=int(draw.integers(1, 101)))
        own = Image.open(io.BytesIO(contents)).convert("RGBA")
        white = Image.new("RGBA", own.size, "white")
        expected = np.asarray(Image.alpha_composite(white, own).convert("RGB"))
        decoded = decode(contents)
        np.testing.assert_array_equal(decoded.pixels, expected, err_msg=f"{number}: {kind} {mode}")
