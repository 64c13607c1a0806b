"""Equal preprocessing in the example program beside an export and in Saccade."""

import io
import sys
import tarfile
from itertools import islice
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from tests.data.decoding.icc import SPACES, profile
from tests.data.hostile_images import HEIC_FILES
from tests.data.images import encode, photo, write

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import decode
from saccade.data.sources.archives import archive_hash, unpacked
from saccade.deploy.formats import FORMATS
from saccade.deploy.model_info import write_info_folder
from saccade.errors import ImageError
from saccade.image_fit import Fit
from saccade.runs.records import ModelRecord, decoding_description

# The example program does not close its image.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def pixels_of_example(tmp_path, monkeypatch):
    """Return a function that runs the example up to the pixels, with a preprocessing and an image."""

    def run(preprocessing, image):
        folder = (
            tmp_path
            / f"{preprocessing.height}x{preprocessing.width}-{preprocessing.fit}-{preprocessing.sample_bits}-info"
        )
        if not folder.exists():
            record = ModelRecord(
                name="run", class_names=("a", "b"), preprocessing=preprocessing, temperature=1.0, tta_views=1,
                decoding=decoding_description(preprocessing), data="data", data_fingerprint="f", weights="w",
                versions={},
            )  # fmt: skip
            write_info_folder(folder, record, "onnx", tmp_path / "model.onnx", FORMATS["onnx"].runtime)
        lines = (folder / "example.py").read_text().splitlines()
        last = next(number for number, line in enumerate(lines) if line.startswith("pixels = "))
        monkeypatch.setattr(sys, "argv", ["example.py", str(image)])
        names = {"__file__": str(folder / "example.py")}
        exec("\n".join(lines[: last + 1]), names)
        return names["pixels"][0]

    return run


def count_equal(pixels_of_example, preprocessing, paths):
    """Count the readable images, and require equal pixels of each."""
    readable = 0
    for path in paths:
        try:
            expected = decode(path.read_bytes(), preprocessing).pixels
        except ImageError:
            continue
        np.testing.assert_array_equal(pixels_of_example(preprocessing, path), expected, err_msg=path.name)
        readable += 1
    return readable


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_odd_images(shared_data, pixels_of_example, size, fit):
    archive = shared_data / "odd-images.tar.xz"
    with unpacked(archive, archive_hash(archive)) as folder:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        assert count_equal(pixels_of_example, Preprocessing(size[0], size[1], fit=fit), paths) > 100


@pytest.mark.parametrize("fit", get_args(Fit))
def test_wide_images_and_a_jpeg_that_its_decoder_reduces(field_cases, shared_data, tmp_path, pixels_of_example, fit):
    wide = sorted((field_cases / "pixels/wide").rglob("*.png"))[::10]
    photograph = tmp_path / "photograph.jpg"
    with Image.open(one_photograph(shared_data)) as image:
        image.resize((1500, 601)).save(photograph)  # reduced by 8 with fit=pad, by 4 with the others
    line = tmp_path / "line.png"
    Image.linear_gradient("L").resize((900, 1)).save(line)
    assert count_equal(pixels_of_example, Preprocessing(64, 64, fit=fit), [*wide, photograph, line]) == len(wide) + 2


def one_photograph(shared_data):
    """Return the first photograph of the archive, as a stream."""
    with tarfile.open(shared_data / "clothing.tar") as archive:
        member = next(member for member in archive if member.name.endswith(".jpg"))
        content = archive.extractfile(member)
        assert content is not None
        return io.BytesIO(content.read())


@pytest.mark.parametrize("bits", [16, 12])
def test_deep_samples_profiles_and_formats(tmp_path, pixels_of_example, bits):
    colors = photo(40, 60)
    transparent = np.concatenate([colors, photo(40, 60, seed=1)[:, :, :1]], axis=2)
    deep = photo(40, 60)[:, :, 0].astype(np.uint16) * 16
    images = {
        "deep.png": encode(deep, "PNG"),
        "deep.tiff": encode(deep, "TIFF", compression="tiff_lzw"),
        "clear.png": encode(deep, "PNG", transparency=int(deep[0, 0])),
        "white.tiff": encode(deep, "TIFF", tiffinfo={262: 0}),
        "integers.tiff": encode(deep.astype(np.int32), "TIFF"),
        "floats.tiff": encode(np.float32(deep) / 4095, "TIFF"),
        "large floats.tiff": encode(np.float32(colors[:, :, 1]) * 0.7, "TIFF"),
        "colors.tiff": encode(colors, "TIFF", compression="jpeg"),
        "transparent.tiff": encode(transparent, "TIFF"),
        "colors.avif": encode(transparent, "AVIF"),
        **{path.name: path.read_bytes() for path in HEIC_FILES.glob("*.heic")},
    }
    for name in SPACES:
        images[f"{name}.jpg"] = encode(colors, "JPEG", icc_profile=profile(name))
        images[f"{name}.png"] = encode(transparent, "PNG", icc_profile=profile(name))
    images["damaged.png"] = encode(colors, "PNG", icc_profile=b"no profile")
    images["gray.png"] = encode(colors[:, :, 0], "PNG", icc_profile=profile("Display P3"))
    images["cmyk.jpg"] = encode(
        Image.fromarray(colors).convert("CMYK"), "JPEG", icc_profile=profile("Display P3", b"CMYK")
    )
    for orientation in range(2, 9):
        images[f"turned {orientation}.tiff"] = encode(colors, "TIFF", tiffinfo={274: orientation})
        exif = Image.Exif()
        exif[274] = orientation
        images[f"turned {orientation}.avif"] = encode(colors, "AVIF", exif=exif)
    frames = [Image.fromarray(colors), Image.fromarray(photo(40, 60, seed=2))]
    images["two.mpo"] = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    paths = [write(tmp_path / "images" / name, contents) for name, contents in images.items()]
    preprocessing = Preprocessing(32, 32, fit="pad", sample_bits=bits)
    assert count_equal(pixels_of_example, preprocessing, paths) == len(images)


@pytest.mark.nightly
def test_a_thousand_images_of_cifar10(shared_data, pixels_of_example):
    archive = shared_data / "cifar10-jpeg.tar.xz"
    with unpacked(archive, archive_hash(archive)) as folder:
        paths = list(islice((path for path in sorted(folder.rglob("*.jpg"))), 0, None, 60))[:1000]
        assert count_equal(pixels_of_example, Preprocessing(32, 32), paths) == 1000
        assert count_equal(pixels_of_example, Preprocessing(48, 20), paths[:100]) == 100
