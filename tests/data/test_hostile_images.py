"""Mutations of real images, and decompression bombs: no crash, at most two seconds and 500 MB for each image."""

import csv
import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.images import encode, photo

from saccade.data.decoding.decode import decode

PROGRAM = [sys.executable, "-m", "tests.data.hostile_images"]
# Written by the program with the versions in requirements/constraints.txt.
MUTATIONS = Path(__file__).with_name("mutations.csv")
BOMBS = Path(__file__).with_name("bombs.csv")


def outcomes(*arguments):
    result = subprocess.run(PROGRAM + list(arguments), capture_output=True, text=True, check=False)
    sys.stdout.write(result.stderr)  # shown by `make test-nightly`, for docs/reliability.md
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row for row in rows if row["outcome"] == "lost"] == []
    assert result.returncode == 0, result.stderr
    return rows


@pytest.mark.parametrize("count", [500, pytest.param(5000, marks=pytest.mark.long)])
def test_mutations_have_the_outcomes_in_the_table(count):
    """A mutation depends on its number alone, so the first ones are those of the whole table."""
    with MUTATIONS.open(newline="") as stream:
        expected = list(csv.DictReader(stream))
    assert outcomes("mutations", str(count), "1") == expected[:count]
    counts = Counter(row["outcome"] for row in expected)
    sys.stdout.write(f"mutations: {dict(counts)}\n")
    assert counts["unreadable"] + counts["decoded"] == 5000
    assert counts["decoded"] > 250
    assert all(row["detail"] for row in expected)


@pytest.mark.parametrize("count", ["150", pytest.param("2000", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("kind", ["TIFF", "AVIF", "HEIC"])
def test_mutations_of_rare_formats_are_decoded_or_unreadable_with_a_reason(kind, count):
    rows = outcomes("mutations", count, "1", kind)
    counts = Counter(row["outcome"] for row in rows)
    sys.stdout.write(f"mutations of {kind}: {dict(counts)}\n")
    assert counts["unreadable"] + counts["decoded"] == int(count)
    assert min(counts["unreadable"], counts["decoded"]) > 0.05 * int(count)
    assert all(row["detail"] for row in rows)
    assert not any("Error" in row["detail"] for row in rows)  # no name of a class of errors


@pytest.mark.nightly
def test_bombs_have_the_outcomes_in_the_table():
    with BOMBS.open(newline="") as stream:
        assert outcomes("bombs") == list(csv.DictReader(stream))


def test_images_of_all_formats_equal_the_pixels_of_pillow():
    """Compare 1,000 images of random sizes, formats, modes and options."""
    draw = np.random.default_rng(0)
    modes = {"JPEG": "RGB L CMYK", "PNG": "RGB L RGBA LA P 1", "GIF": "P L", "BMP": "RGB L P 1", "WEBP": "RGB RGBA"}
    for number in range(1000):
        kind = str(draw.choice(sorted(modes)))
        mode = str(draw.choice(modes[kind].split()))
        height, width = (int(side) for side in draw.integers(1, 90, 2))
        original = Image.fromarray(photo(height, width, seed=number))
        contents = encode(original.convert(mode), kind, quality=int(draw.integers(1, 101)))
        by_pillow = Image.open(io.BytesIO(contents)).convert("RGBA")
        white = Image.new("RGBA", by_pillow.size, "white")
        expected = np.asarray(Image.alpha_composite(white, by_pillow).convert("RGB"))
        decoded = decode(contents)
        np.testing.assert_array_equal(decoded.pixels, expected, err_msg=f"{number}: {kind} {mode}")
