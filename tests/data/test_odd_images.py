"""Decoding of unusual and damaged images: PngSuite, libpng's crashers, EXIF orientations.

`odd_images.csv` gives the outcome for each file: decoded, with mode and size after the EXIF orientation, or unreadable,
with the part of the reason that is Saccade's own text. Decoded pixels must equal Pillow's pixels, except 16-bit gray,
which Pillow clips and which is compared with the high byte. The table holds for the decoder and for the worker
processes; `tests/deploy/server/test_same_prediction.py` checks it for `predict` and for the server.
"""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.images import over_white

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import decode, fit_pixels
from saccade.data.decoding.decode_files import decode_files
from saccade.data.decoding.image_files import content_hash
from saccade.data.load import load
from saccade.data.sources.archives import archive_hash, unpacked
from saccade.errors import ImageError

TABLE = Path(__file__).with_name("odd_images.csv")
PREPROCESSING = Preprocessing(32, 32)


@pytest.fixture(scope="module")
def odd_images(shared_data):
    archive = shared_data / "odd-images.tar.xz"
    with unpacked(archive, archive_hash(archive)) as folder:
        yield folder / "odd-images"


@pytest.fixture(scope="module")
def files(odd_images):
    return [path for path in sorted(odd_images.rglob("*")) if path.is_file()]


@pytest.fixture(scope="module")
def table(odd_images, files):
    """Return the outcome of each file in the table."""
    with TABLE.open(newline="") as stream:
        rows = {row["path"]: (row["outcome"], row["detail"]) for row in csv.DictReader(stream)}
    assert sorted(rows) == [path.relative_to(odd_images).as_posix() for path in files]
    return list(rows.values())


def unreadable(reason):
    return "unreadable", reason.removeprefix("not an image: ").split(":")[0]


def decoded(header):
    return "decoded", f"{header.mode} {header.height}x{header.width}"


def outcome(contents):
    try:
        pixels, header, *_ = decode(contents)
    except ImageError as error:
        return unreadable(error.problem)
    np.testing.assert_array_equal(pixels, over_white(contents))
    return decoded(header)


def test_the_decoder_gives_the_outcomes_in_the_table(files, table):
    assert [outcome(path.read_bytes()) for path in files] == table


def check_worker_pixels(pixels, contents):
    """Check that the pixels of a worker are Pillow's pixels over white, resized."""
    whole = over_white(contents)
    if contents.startswith(b"\xff\xd8") and min(whole.shape[:2]) >= 4 * PREPROCESSING.height:
        # The JPEG decoder halves a large image first, so the pixels are only approximately equal.
        assert np.abs(pixels.astype(float) - fit_pixels(whole, PREPROCESSING)).mean() < 4
    else:
        np.testing.assert_array_equal(pixels, fit_pixels(whole, PREPROCESSING))


def test_the_worker_processes_give_the_outcomes_in_the_table(files, table):
    chunks = list(decode_files(files, PREPROCESSING))
    headers = [header for chunk in chunks for header in chunk.headers]
    reasons = [reason for chunk in chunks for reason in chunk.reasons]
    found = [unreadable(reason) if reason else decoded(header) for header, reason in zip(headers, reasons, strict=True)]
    assert found == table
    contents = [path.read_bytes() for path in files]
    assert [content for chunk in chunks for content in chunk.hashes] == list(map(content_hash, contents))
    pixels = np.concatenate([chunk.pixels for chunk in chunks])
    for position, reason in enumerate(reasons):
        if reason is None:
            check_worker_pixels(pixels[position], contents[position])


def test_the_worker_processes_composite_transparent_images_over_white(field_cases):
    files = [path for path in sorted((field_cases / "transparent").rglob("*")) if path.is_file()]
    chunks = list(decode_files(files, PREPROCESSING))
    assert [reason for chunk in chunks for reason in chunk.reasons] == [None] * len(files)
    modes = {header.mode for chunk in chunks for header in chunk.headers}
    assert modes >= {"RGBA", "LA", "P", "L", "I;16", "RGB"}
    for pixels, path in zip(np.concatenate([chunk.pixels for chunk in chunks]), files, strict=True):
        check_worker_pixels(pixels, path.read_bytes())


def test_magnetic_resonance_images_are_all_readable(shared_data):
    # Gray, RGB, RGBA and palette; .jpg, .JPG, .png, .jpeg; PNGs named .jpg.
    dataset = load(shared_data / "brain_mri.tar", image_size=32)
    assert dataset.unreadable == ()
    assert sum(map(len, dataset.splits.values())) == 253
    assert {mode for split in dataset.splits.values() for mode in split.modes} == {"L", "RGB", "RGBA", "P"}


@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
@pytest.mark.parametrize("orientation", [0, *range(2, 9)])
def test_every_exif_orientation_is_applied(odd_images, shape, orientation):
    def small(number):
        decoded = decode((odd_images / "exif" / f"{shape}_{number}.jpg").read_bytes())
        assert (decoded.header.height > decoded.header.width) == (shape == "Portrait")
        return np.asarray(Image.fromarray(decoded.pixels).resize((60, 60), Image.Resampling.BOX), dtype=float)

    # Each image shows its number, and JPEG is lossy; with a wrong orientation the mean difference is above 30.
    assert np.abs(small(orientation) - small(1)).mean() < 6
