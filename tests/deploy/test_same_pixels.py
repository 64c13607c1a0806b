"""Equal preprocessing in the example program beside an export and in Saccade."""

import io
import sys
import tarfile
from itertools import islice
from typing import get_args

import numpy as np
import pytest
from PIL import Image

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
        folder = tmp_path / f"{preprocessing.height}x{preprocessing.width}-{preprocessing.fit}-info"
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


@pytest.mark.nightly
def test_a_thousand_images_of_cifar10(shared_data, pixels_of_example):
    archive = shared_data / "cifar10-jpeg.tar.xz"
    with unpacked(archive, archive_hash(archive)) as folder:
        paths = list(islice((path for path in sorted(folder.rglob("*.jpg"))), 0, None, 60))[:1000]
        assert count_equal(pixels_of_example, Preprocessing(32, 32), paths) == 1000
        assert count_equal(pixels_of_example, Preprocessing(48, 20), paths[:100]) == 100
