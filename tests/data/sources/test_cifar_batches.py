import pickle
import tarfile

import numpy as np
import pytest

from saccade import load
from saccade.errors import DataError

NAMES = ["airplane", "automobile", "bird"]


def batch(seed, images=4, key=b"labels", classes=3):
    rng = np.random.default_rng(seed)
    return {
        b"data": rng.integers(0, 256, (images, 3072), dtype=np.uint8),
        key: [(seed + number) % classes for number in range(images)],
    }


def write_cifar10(folder, names=NAMES):
    folder.mkdir(parents=True)
    batches = {f"data_batch_{number}": batch(number) for number in range(1, 6)} | {"test_batch": batch(9)}
    for name, contents in batches.items():
        (folder / name).write_bytes(pickle.dumps(contents, 2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, 2))
    (folder / "readme.html").write_text("see the page")
    return batches


def test_a_folder_and_an_archive_of_batches_have_the_images_of_the_files(tmp_path):
    batches = write_cifar10(tmp_path / "cifar-10-batches-py")
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-py", "cifar-10-batches-py")
    found = [load(tmp_path / name) for name in ("cifar-10-batches-py", "cifar-10-python.tar.gz")]
    assert found[0].fingerprint == found[1].fingerprint
    assert found[1].name == "cifar-10-python"  # the files are not the official ones
    for dataset in found:
        assert dataset.class_names == tuple(NAMES)
        assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 20, "test": 4}
        pixels = batches["data_batch_2"][b"data"][1].reshape(3, 32, 32).transpose(1, 2, 0)
        assert np.array_equal(dataset.splits["train"].take(slice(5, 6))[0], pixels)
        assert dataset.splits["test"].labels.tolist() == batches["test_batch"][b"labels"]


def test_cifar100_has_its_fine_classes(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, seed in (("train", 1), ("test", 2)):
        (folder / name).write_bytes(pickle.dumps(batch(seed, 6, b"fine_labels") | {b"coarse_labels": [0] * 6}, 2))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": NAMES, "coarse_label_names": ["all"]}, 2))
    assert load(folder).class_names == tuple(NAMES)


def test_names_that_are_not_different_are_replaced_by_numbers(tmp_path):
    write_cifar10(tmp_path / "batches", ["airplane"] * 3)
    assert load(tmp_path / "batches").class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("contents", "found"),
    [
        (b"nothing", "the pickle"),
        (pickle.dumps([1, 2]), "no dictionary"),
        (pickle.dumps({"labels": [1]}), "no array 'data'"),
        (pickle.dumps(batch(1) | {b"labels": [1]}), "no list 'labels' of 4 labels"),
        (pickle.dumps(batch(1) | {b"labels": [1, 2, 3, -1]}), "no list 'labels' of 4 labels"),
        (pickle.dumps(batch(1) | {b"data": np.zeros((4, 100), np.uint8)}), "no array 'data'"),
    ],
)
def test_a_damaged_batch_is_an_error(tmp_path, contents, found):
    write_cifar10(tmp_path / "batches")
    (tmp_path / "batches/data_batch_3").write_bytes(contents)
    with pytest.raises(DataError) as caught:
        load(tmp_path / "batches")
    assert "data_batch_3 is no file of CIFAR images that can be read" in str(caught.value)
    assert f"found: {found}" in str(caught.value)
