"""TIFF files against tifffile's samples: kinds of samples, byte orders, compressions, layouts and orientations."""

import io
import itertools

import numpy as np
import pytest
import tifffile

from saccade.data.decoding.decode import decode, read_header
from saccade.errors import ImageError

SIZE = (13, 17)
TURNS = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image.swapaxes(0, 1)[::-1, ::-1],
    8: lambda image: image.swapaxes(0, 1)[::-1],
}
LARGEST = {"u1": 255, "u2": 65535, "i2": 32767, "u4": 65535, "f4": 1}
UNSUPPORTED = "a kind of TIFF that is not supported: convert it to JPEG or PNG"


def samples(kind, dtype, order, draw):
    """Return random samples, [height, width] or [height, width, channels]."""
    channels = {"gray": (), "gray and alpha": (2,), "rgb": (3,), "rgba": (4,)}[kind]
    values = draw.random((*SIZE, *channels)) * LARGEST[dtype]
    return (values if dtype == "f4" else np.rint(values)).astype(order + dtype)


def written(values, kind, dtype, *, photometric="minisblack", separate=False, **options):
    """Return a TIFF file of the samples."""
    stream = io.BytesIO()
    options |= {} if kind in ("gray", "rgb") else {"extrasamples": ["unassalpha"]}
    options |= {} if kind == "gray" else {"planarconfig": "separate" if separate else "contig"}
    tifffile.imwrite(
        stream, np.moveaxis(values, -1, 0) if separate else values, byteorder=values.dtype.byteorder.replace("|", "<"),
        photometric="rgb" if kind in ("rgb", "rgba") else photometric, **options,
    )  # fmt: skip
    return stream.getvalue()


def expected(values, kind, dtype, photometric):
    """Return the RGB pixels over white, float64."""
    eight = values.astype(np.float64)
    eight = np.rint(eight * 255) if dtype == "f4" else eight // 256 if dtype != "u1" else eight
    colors = eight[..., None] if kind == "gray" else eight
    if photometric == "miniswhite":
        colors = 255 - colors
    if kind in ("gray and alpha", "rgba"):
        opacity = colors[..., -1:] / 255
        colors = colors[..., :-1] * opacity + 255 * (1 - opacity)
    return np.broadcast_to(colors, (*SIZE, 3))


def is_unsupported(encoded):
    """Return whether a file is unreadable as a kind that is not supported."""
    with pytest.raises(ImageError) as caught:
        decode(encoded)
    return caught.value.problem == UNSUPPORTED


READ = [
    *(("gray", dtype, "minisblack") for dtype in LARGEST),
    ("gray", "u1", "miniswhite"),
    ("gray", "u2", "miniswhite"),
    ("gray and alpha", "u1", "minisblack"),
    *((kind, dtype, "rgb") for kind in ("rgb", "rgba") for dtype in ("u1", "u2")),
]


@pytest.mark.parametrize(("kind", "dtype", "photometric"), READ)
def test_pixels_are_the_samples(kind, dtype, photometric):
    draw, seen = np.random.default_rng(0), 0
    for order, compression, tile, separate, turn in itertools.product(
        "<>", (None, "zlib"), (None, (16, 16)), (False, True), (1, *draw.integers(2, 9, 2))
    ):
        if separate and kind not in ("rgb", "rgba"):
            continue
        values = samples(kind, dtype, order, draw)
        encoded = written(
            values, kind, dtype, photometric=photometric, separate=separate, compression=compression, tile=tile,
            predictor=True if compression and dtype != "f4" and tile is None else None,
            extratags=[(274, "H", 1, int(turn), True)],
        )  # fmt: skip
        if order == ">" and (dtype == "u4" or (photometric == "miniswhite" and dtype == "u2")):
            continue  # Pillow knows no such files
        if separate and dtype == "u2" and compression is None:
            assert is_unsupported(encoded)
            continue
        decoded = decode(encoded)
        seen += 1
        reference = TURNS[int(turn)](expected(values, kind, dtype, photometric))
        assert decoded.pixels.shape == reference.shape
        assert np.abs(decoded.pixels - reference).max() <= 1
        header = read_header(encoded)
        assert (header.format, header.height, header.width) == ("TIFF", *reference.shape[:2])
    assert seen >= 12


@pytest.mark.parametrize(
    ("kind", "dtype", "separate"),
    [("gray and alpha", "u1", True), ("gray and alpha", "u2", False), ("rgb", "u2", True), ("rgb", "f4", False)],
)
def test_layouts_that_pillow_decodes_wrongly_or_not_at_all_are_unreadable(kind, dtype, separate):
    encoded = written(samples(kind, dtype, "<", np.random.default_rng(0)), kind, dtype, separate=separate)
    assert is_unsupported(encoded)


def test_the_first_of_several_pages_is_read():
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for value in (10, 200, 90):
            writer.write(np.full((8, 8), value, np.uint8))
    assert (decode(stream.getvalue()).pixels == 10).all()
