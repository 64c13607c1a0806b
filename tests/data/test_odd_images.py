"""The decoder against real odd and broken pictures: PngSuite, libpng's crashers, EXIF orientations.

`odd_images.csv` states for each file whether it is decoded, with its mode and upright size, or refused, and why, as far
as that is our own wording. What is decoded must equal Pillow's own pixels; only 16-bit grey, which Pillow clips, is
compared with its scaled samples.
"""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from saccade.data.archives import archive_hash, unpacked
from saccade.data.decode import decode
from saccade.errors import PictureError

TABLE = Path(__file__).with_name("odd_images.csv")


@pytest.fixture(scope="module")
def odd_images(shared_data):
    archive = shared_data / "odd-images.tar.xz"
    with unpacked(archive, archive_hash(archive)) as folder:
        yield folder / "odd-images"


def pillows_own(contents):
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    if picture.mode == "I;16":
        grey = np.asarray(picture)
        picture = Image.fromarray(np.uint8(grey // 256)).convert("RGBA")
        picture.putalpha(Image.fromarray(np.uint8(255 * (grey != picture.info.get("transparency", -1)))))
    white = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB"))


def outcome(contents):
    try:
        decoded = decode(contents)
    except PictureError as error:
        return "refused", error.problem.removeprefix("not a picture: ").split(":")[0]
    facts = decoded.facts
    np.testing.assert_array_equal(decoded.pixels, pillows_own(contents))
    return "decoded", f"{facts.mode} {facts.height}x{facts.width}"


def test_every_file_has_the_outcome_that_the_table_states(odd_images):
    with TABLE.open(newline="") as stream:
        stated = {row["path"]: (row["outcome"], row["detail"]) for row in csv.DictReader(stream)}
    files = [path for path in sorted(odd_images.rglob("*")) if path.is_file()]
    found = {path.relative_to(odd_images).as_posix(): outcome(path.read_bytes()) for path in files}
    assert found == stated


@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
@pytest.mark.parametrize("orientation", [0, *range(2, 9)])
def test_every_orientation_comes_out_upright(odd_images, shape, orientation):
    def small(number):
        decoded = decode((odd_images / "exif" / f"{shape}_{number}.jpg").read_bytes())
        assert (decoded.facts.height > decoded.facts.width) == (shape == "Portrait")
        return np.asarray(Image.fromarray(decoded.pixels).resize((60, 60), Image.Resampling.BOX), dtype=float)

    # Each number stands in the picture, and JPEG is lossy; turned wrongly, the mean difference is above 30.
    assert np.abs(small(orientation) - small(1)).mean() < 6
