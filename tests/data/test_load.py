import os
import shutil
import tarfile

import numpy as np
import pytest
from tests.data.images import class_folder, encode, photo, write

from saccade.data.cache.disk_cache import cache_entries, cache_folder
from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import decode
from saccade.data.load import load, load_with_preprocessing
from saccade.errors import DataError
from saccade.inference.image_inputs import find_images

pytestmark = pytest.mark.usefixtures("own_cache")


def failure(data, kind=DataError, **options):
    with pytest.raises(kind) as caught:
        load(data, **options)
    return str(caught.value)


def arrays():
    """Return the time of the last change of each array file of the cache."""
    return {path: path.stat().st_mtime_ns for path in cache_folder().glob("decoded/*/pixels.npy")}


def by_name(dataset):
    return {
        name: (split_name, int(split.labels[position]), split.take(slice(position, position + 1))[0])
        for split_name, split in dataset.splits.items()
        for position, name in enumerate(split.names)
    }


def test_a_folder_of_classes(animals):
    dataset = load(animals)
    assert dataset.name == "animals"
    assert dataset.source == str(animals)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.preprocessing == Preprocessing(32, 32)
    assert dataset.unreadable == ()
    images = by_name(dataset)
    assert len(images) == 20
    for name, (_, label, pixels) in images.items():
        assert dataset.class_names[label] == name.split("/")[0]
        np.testing.assert_array_equal(pixels, decode((animals / name).read_bytes()).pixels)
    train = dataset.splits["train"]
    assert (train.modes[0], train.formats[0], train.sizes[0].tolist()) == ("RGB", "PNG", [32, 32])
    assert isinstance(train.store, np.ndarray)
    assert not train.store.flags.writeable


def test_data_without_a_test_split_gets_one_with_a_note(animals):
    dataset = load(animals)
    assert set(dataset.splits) == {"train", "test"}
    (note,) = dataset.notes
    assert note.startswith("the data has no test split: a fifth of its images, chosen by a hash")
    assert set(np.unique(dataset.splits["test"].labels)) == {0, 1}


def test_images_stay_in_their_split_when_others_are_added(animals):
    before = by_name(load(animals))
    class_folder(animals, start=10)
    after = by_name(load(animals))
    assert len(after) == 40
    # In a very small class a forced choice may change; no choice was forced with ten images in each class.
    assert {name: after[name][0] for name in before} == {name: split for name, (split, *_) in before.items()}


def test_splits_of_the_data_are_kept(tmp_path):
    for split in ("train", "valid", "test"):
        class_folder(tmp_path / "data" / split, count=3, start={"train": 0, "valid": 3, "test": 6}[split])
    dataset = load(tmp_path / "data")
    assert {split: list(images.names) for split, images in dataset.splits.items()} == {
        "train": [f"train/{name}/00{n}.png" for name in ("cat", "dog") for n in (0, 1, 2)],
        "validation": [f"valid/{name}/00{n}.png" for name in ("cat", "dog") for n in (3, 4, 5)],
        "test": [f"test/{name}/00{n}.png" for name in ("cat", "dog") for n in (6, 7, 8)],
    }
    assert dataset.notes == ()


def test_an_archive_gives_the_same_data_as_its_folder(animals, tmp_path):
    with tarfile.open(tmp_path / "animals.tar.xz", "w:xz") as archive:
        archive.add(animals, "images")
    from_archive, from_folder = load(tmp_path / "animals.tar.xz"), load(animals)
    assert from_archive.name == "animals"
    assert from_archive.source == str(tmp_path / "animals.tar.xz")
    assert from_archive.fingerprint == from_folder.fingerprint
    assert by_name(from_archive).keys() == by_name(from_folder).keys()
    assert len(arrays()) == 1


def test_unreadable_images_are_left_out_and_listed(animals):
    write(animals / "cat" / "broken.jpg", encode(photo(), "JPEG")[:500])
    write(animals / "dog" / "page.png", b"<html>not found</html>")
    write(animals / "dog" / "line\nbreak.jxl", b"\0\0\0\x0cJXL \r\n\x87\n")
    dataset = load(animals)
    assert [(unreadable.path, unreadable.split, unreadable.reason) for unreadable in dataset.unreadable] == [
        ("cat/broken.jpg", "train", "truncated JPEG"),
        ("dog/line\\nbreak.jxl", "train", "JPEG XL images are not supported: convert them to JPEG or PNG"),
        ("dog/page.png", "test", "not an image: it looks like an HTML page"),  # by the hash of its contents
    ]
    assert len(by_name(dataset)) == 20
    assert load(animals).unreadable == dataset.unreadable


def test_a_class_of_unreadable_images_is_an_error(animals):
    for path in (animals / "dog").iterdir():
        path.write_bytes(b"nothing")
    message = failure(animals)
    assert "no training image of the class 'dog' can be read" in message
    assert "found: dog/000.png: not an image: it looks like text" in message
    assert not arrays()


def test_a_test_split_of_unreadable_images_is_an_error(tmp_path):
    class_folder(tmp_path / "data/train", count=2)
    for name in ("cat", "dog"):
        write(tmp_path / "data/test" / name / "1.jpg", b"")
    assert "no image of the test split can be read" in failure(tmp_path / "data")


def test_too_few_different_images_for_a_test_split_are_an_error(tmp_path):
    class_folder(tmp_path / "data", count=1)
    message = failure(tmp_path / "data")
    assert "there are too few images for a test split" in message
    assert "expected: at least two different images in a class" in message


def test_a_second_load_decodes_nothing(animals):
    first = load(animals)
    before = arrays()
    second = load(animals)
    assert arrays() == before
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.splits["train"].take(slice(None)), first.splits["train"].take(slice(None)))


def test_a_touched_or_copied_folder_has_the_same_fingerprint_and_cache_entry(animals, tmp_path):
    fingerprint = load(animals).fingerprint
    before = arrays()
    os.utime(animals / "cat" / "000.png", ns=(1, 1))
    assert load(animals).fingerprint == fingerprint
    shutil.copytree(animals, tmp_path / "elsewhere" / "animals")
    assert load(tmp_path / "elsewhere" / "animals").fingerprint == fingerprint
    assert arrays() == before


def test_every_change_of_contents_changes_the_fingerprint(animals):
    seen = {load(animals).fingerprint}
    write(animals / "cat" / "000.png", encode(photo(32, 32, seed=77), "PNG"))
    seen.add(load(animals).fingerprint)
    (animals / "cat" / "001.png").rename(animals / "cat" / "renamed.png")
    seen.add(load(animals).fingerprint)
    (animals / "cat" / "002.png").rename(animals / "dog" / "002b.png")
    seen.add(load(animals).fingerprint)
    (animals / "cat" / "003.png").unlink()
    seen.add(load(animals).fingerprint)
    assert len(seen) == 5


def test_a_change_with_equal_size_and_time_changes_the_fingerprint(animals):
    path = write(animals / "cat" / "bitmap.bmp", encode(photo(32, 32), "BMP"))
    before, status = load(animals), path.stat()
    path.write_bytes(encode(photo(32, 32, seed=5), "BMP"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert load(animals).fingerprint != before.fingerprint


def test_the_fingerprint_is_independent_of_the_image_size(animals):
    small = load(animals, image_size=8)
    assert small.preprocessing == Preprocessing(8, 8)
    assert small.splits["train"].store.shape[1:] == (8, 8, 3)
    assert small.fingerprint == load(animals).fingerprint
    assert len(arrays()) == 2


def test_a_given_preprocessing_is_used(animals):
    preprocessing = Preprocessing(20, 30, background=(1, 2, 3))
    dataset = load_with_preprocessing(animals, preprocessing)
    assert dataset.preprocessing == preprocessing
    assert dataset.splits["test"].take(slice(0, 1)).shape == (1, 20, 30, 3)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(40, 60)] * 4, (40, 60)),
        ([(31, 60)] * 4, (32, 32)),
        ([(40, 60), (60, 41)] * 2, (32, 32)),
        ([(64, 300), (64, 64), (70, 50), (400, 64)], (64, 64)),
        ([(64, 90)] * 4, (64, 90)),
        # Photographs are 160 or 224 pixels a side, whatever their own size.
        ([(65, 90)] * 4, (160, 160)),
        ([(100, 90), (300, 80), (20, 3000), (85, 85)], (160, 160)),
        ([(200, 230)] * 4, (224, 224)),
        ([(500, 600), (600, 500)] * 2, (224, 224)),
    ],
)
def test_the_default_size_depends_on_the_sizes_of_the_images(tmp_path, sizes, expected):
    for name in ("a", "b"):
        for number, (height, width) in enumerate(sizes):
            write(
                tmp_path / "data" / name / f"{number}.png", encode(photo(height, width, seed=ord(name) + number), "PNG")
            )
    preprocessing = load(tmp_path / "data").preprocessing
    assert (preprocessing.height, preprocessing.width) == expected


def test_one_image_of_another_size_gives_the_default_size(tmp_path):
    class_folder(tmp_path / "data", count=100, size=(40, 40))
    write(tmp_path / "data/dog/051.png", encode(photo(200, 300), "PNG"))
    dataset = load(tmp_path / "data")
    assert dataset.preprocessing == Preprocessing(32, 32)
    assert len(arrays()) == 1
    assert load(tmp_path / "data").preprocessing == Preprocessing(32, 32)


@pytest.mark.parametrize("size", [0, -3, 5000])
def test_an_invalid_image_size_is_an_error(animals, size):
    message = failure(animals, image_size=size)
    assert "expected: 1 to 4096 pixels" in message
    assert f"found: {size}" in message


def test_a_damaged_cache_entry_is_replaced(animals):
    load(animals)
    (entry,) = (entry for entry in cache_entries() if entry.kind == "decoded")
    (entry.path / "index.json").write_text("{")
    assert len(by_name(load(animals))) == 20
    (entry.path / "pixels.npy").write_bytes(b"half")
    assert len(by_name(load(animals))) == 20
    (scan,) = (entry for entry in cache_entries() if entry.kind == "scans")
    (scan.path / "facts.json").write_text("nonsense")
    assert len(by_name(load(animals))) == 20


def test_a_cache_with_a_small_limit_keeps_the_data_in_use(animals, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", "70KB")  # 20 images of 32x32 pixels take 61 KB
    first = load(animals)
    assert load(animals).fingerprint == first.fingerprint
    other = load(animals, image_size=16)
    assert isinstance(first.splits["train"].store, np.ndarray)
    assert not isinstance(other.splits["train"].store, np.ndarray)  # decoded when they are needed
    assert [path.parent.name.split("-")[1] for path in arrays()] == ["32x32"]
    assert len(by_name(first)) == len(by_name(other)) == 20


def test_name_and_source_of_a_relative_path(animals, monkeypatch):
    (animals.parent / "beside").mkdir()
    monkeypatch.chdir(animals.parent / "beside")
    assert load("../animals").source == str(animals)
    monkeypatch.chdir(animals)
    assert load(".").name == "animals"


def test_unreadable_images_are_in_the_split_of_their_content_hash(animals):
    for number in range(40):
        (animals / "cat" / f"broken{number}.jpg").write_bytes(b"\xff\xd8\xff broken %d" % number)
    unreadable = load(animals).unreadable
    assert len(unreadable) == 40
    in_test = {image.path for image in unreadable if image.split == "test"}
    assert 2 <= len(in_test) <= 15
    (animals / "dog" / "another.jpg").write_bytes(b"")
    again = {image.path for image in load(animals).unreadable if image.split == "test"}
    assert again == in_test


def test_an_empty_name_is_not_the_current_folder(animals, monkeypatch):
    monkeypatch.chdir(animals)
    with pytest.raises(DataError, match="has no name"):
        load("")
    with pytest.raises(DataError, match="has no name"):
        find_images([""])
