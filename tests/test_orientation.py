"""EXIF orientations: images are upright in explore, train, evaluate and predict."""

import shutil

import numpy as np
import pytest

import saccade
from saccade.data.sources.archives import archive_hash, unpacked


@pytest.fixture(scope="module")
def photos(shared_data, tmp_path_factory):
    """Folder of two classes, landscapes and portraits: upright training images, test images rotated by EXIF."""
    archive = shared_data / "odd-images.tar.xz"
    root = tmp_path_factory.mktemp("turned")
    with unpacked(archive, archive_hash(archive)) as folder:
        for shape in ("Landscape", "Portrait"):
            for number in range(9):
                place = root / ("train" if number < 2 else "test") / shape
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / "odd-images" / "exif" / f"{shape}_{number}.jpg", place / f"{number}.jpg")
    return root


def difference(one, other):
    return np.abs(one.astype(float) - other).mean()


def test_images_are_upright_in_every_command(photos, tmp_path):
    dataset = saccade.load(photos, image_size=64)
    upright, turned = dataset.splits["train"], dataset.splits["test"]
    for label in range(2):
        (expected, _) = upright.take(np.flatnonzero(upright.labels == label))
        for image in turned.take(np.flatnonzero(turned.labels == label)):
            # A number stands in each image; with a wrong orientation, the mean difference is above 30.
            assert difference(image, expected) < 6
    exploration = saccade.explore(photos)
    sizes = {(height > width) for split in dataset.splits.values() for height, width in split.sizes}
    assert sizes == {True, False}
    assert exploration.unreadable == ()
    settings = {"image_size": 64, "batch_size": 2, "validation_split": 0}
    run = saccade.train(photos, recipe="folder", epochs=6, settings=settings, out=tmp_path / "run", progress=False)
    # Two training images of each class suffice for an accuracy of 1, but not where images lie on their sides.
    assert saccade.evaluate(run).accuracy == 1
    files = sorted((photos / "test").rglob("*.jpg"))
    for file, prediction in zip(files, saccade.predict(run, files), strict=True):
        assert prediction.top[0].class_name == file.parent.name
