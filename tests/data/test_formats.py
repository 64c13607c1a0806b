"""Data in TIFF, AVIF and HEIC, of 16 bits and with color profiles, typed as users do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.decoding.icc import profile, to_srgb
from tests.data.images import encode, photo, write
from tests.snippets import run_here

from saccade import load
from saccade.runs.run import Run

HEIC = Path(__file__).parent / "decoding" / "heif" / "colors.heic"


def test_a_folder_of_every_format(tmp_path):
    for label in ("cat", "dog"):
        for number, (kind, suffix) in enumerate(
            [
                ("JPEG", "jpg"),
                ("PNG", "png"),
                ("GIF", "gif"),
                ("BMP", "bmp"),
                ("WEBP", "webp"),
                ("TIFF", "tif"),
                ("AVIF", "avif"),
            ]
        ):
            write(
                tmp_path / "data" / label / f"{number}.{suffix}", encode(photo(seed=number + 10 * len(label[0])), kind)
            )
    shutil.copy(HEIC, tmp_path / "data" / "cat" / "7.heic")
    dataset = load(tmp_path / "data", image_size=32)
    formats = [kind for split in dataset.splits.values() for kind in split.formats]
    assert not dataset.unreadable
    assert sorted(set(formats)) == ["AVIF", "BMP", "GIF", "HEIC", "JPEG", "PNG", "TIFF", "WebP"]
    shown = run_here(["explore", "data"], tmp_path)
    assert shown.code == 0
    assert "HEIC" in shown.stdout


@pytest.fixture
def twelve_bits(field_cases):
    return field_cases / "pixels/twelvebit"


def test_twelve_bits_in_sixteen_are_named_and_used(twelve_bits, tmp_path):
    words = ["train", str(twelve_bits), "--recipe", "folder", "--epochs", "1"]
    shown = run_here([*words, "--dry-run"], tmp_path)
    note = "only the low 12 bits of 60 16-bit images are used, so that the images are dark; to use the whole range: "
    assert note + "--set scale=auto" in shown.stderr
    dark = load(twelve_bits).splits["train"]
    assert dark.take(slice(None)).max() == 3100 >> 8
    assert run_here([*words, "--set", "scale=auto", "--out", "run"], tmp_path).code == 0
    run = Run.open(tmp_path / "run")
    assert run.preprocessing.sample_bits == 12
    assert (
        "note: 16-bit gray images use their low 12 bits, by scale=auto"
        in run_here([*words, "--set", "scale=auto", "--dry-run"], tmp_path).stderr
    )
    bright = load(twelve_bits, scale="auto").splits["train"]
    path = twelve_bits / bright.names[0]
    np.testing.assert_array_equal(bright.take(slice(0, 1))[0][:, :, 0], np.asarray(Image.open(path)) >> 4)
    (predicted,) = json.loads(run_here(["predict", "run", str(path), "--json"], tmp_path).stdout)
    assert predicted["unreadable_reason"] is None
    failed = run_here(["train", str(twelve_bits), "--set", "scale=most", "--dry-run"], tmp_path)
    assert failed.code == 1
    assert "the recipe's key 'scale' can't be 'most'" in failed.stderr


def test_profiles_are_used_and_unusable_ones_are_counted(tmp_path):
    for number in range(12):
        place = tmp_path / "data" / ("cat" if number % 2 else "dog")
        contents = b"no profile" if number in (3, 8) else profile("Display P3")
        write(place / f"{number}.png", encode(photo(48, 48, seed=number), "PNG", icc_profile=contents))
    dataset = load(tmp_path / "data")
    assert "the color profiles of 2 images can't be read and are ignored" in dataset.notes
    split = dataset.splits["train"]
    for image, name in zip(split.take(slice(None)), split.names, strict=True):
        number = int(Path(name).stem)
        original = photo(48, 48, seed=number)
        expected = original if number in (3, 8) else to_srgb(original, "Display P3")
        assert np.abs(image - expected).max() < 1
