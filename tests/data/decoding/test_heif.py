"""HEIC images, made with libheif's encoder from the same smooth colors; their loss is below one level in the mean."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.data.decoding.icc import to_srgb

from saccade.data.decoding.decode import decode, read_header

FOLDER = Path(__file__).parent / "heif"
Y, X = np.mgrid[0:36, 0:52]
COLORS = np.stack([X * 4.5, Y * 6, (X + Y) * 2.5], axis=-1).round()
OPACITY = (X * 4.9).round()[:, :, None] / 255
# The gray of ITU-R BT.601, by which Pillow made the gray image.
GRAY = (COLORS @ [0.299, 0.587, 0.114])[:, :, None].repeat(3, axis=2)
EXPECTED = {
    "colors": COLORS,
    "turned": COLORS.swapaxes(0, 1)[:, ::-1],
    "transparent": COLORS * OPACITY + 255 * (1 - OPACITY),
    "gray": GRAY,
    "ten_bits": COLORS[:, :, :1].repeat(3, axis=2),
    "display_p3": to_srgb(COLORS, "Display P3"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_pixels_are_those_of_the_original(name):
    encoded = (FOLDER / f"{name}.heic").read_bytes()
    decoded = decode(encoded)
    assert decoded.pixels.shape == EXPECTED[name].shape
    assert np.abs(decoded.pixels - EXPECTED[name]).mean() < 1
    assert read_header(encoded)[:4] == decoded.header[:4]
    assert decoded.header[0::2][:2] == ("HEIC", decoded.pixels.shape[0])


WITHOUT = """
import sys
sys.modules["pi_heif"] = None
from pathlib import Path
from saccade.data.decoding.decode import decode
from saccade.errors import ImageError
try:
    decode(Path(sys.argv[1]).read_bytes())
except ImageError as error:
    print(error)
"""


def test_without_the_package_the_reason_names_it():
    command = [sys.executable, "-c", WITHOUT, str(FOLDER / "colors.heic")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "HEIC images need the package pi-heif: pip install 'saccade[heif]'\n"
