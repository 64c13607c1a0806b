"""Images that are decoded when they are needed: the same data as from the cache, in bounded memory."""

import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from tests.data.images import class_folder, encode, photo, write

from saccade.data.cache.disk_cache import cache_entries, clear_cache
from saccade.data.decoding import decode_stream
from saccade.data.decoding.decode_files import decode_files
from saccade.data.load import load
from saccade.data.reading_options import ReadingOptions
from saccade.errors import DataError

STREAM = ReadingOptions(stream=True)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path):
    """Return a folder of 26 images of different sizes, with duplicates, and two files that are no images."""
    root = class_folder(tmp_path / "photos", size=(90, 100))
    for number in range(4):
        write(root / "dog" / f"wide{number}.jpg", encode(photo(70, 130, seed=70 + number), "JPEG", quality=90))
    write(root / "dog/again.jpg", (root / "dog/wide0.jpg").read_bytes())
    write(root / "dog/encoded again.jpg", encode(photo(70, 130, seed=71), "JPEG", quality=60))
    write(root / "cat/text.png", b"no image")
    write(root / "dog/half.jpg", (root / "dog/wide0.jpg").read_bytes()[:900])
    return root


def assert_same(streamed, cached):
    """Require that two datasets have equal images, in equal splits, and equal facts about them."""
    assert not isinstance(streamed.splits["train"].store, np.ndarray)
    assert isinstance(cached.splits["train"].store, np.ndarray)
    assert (streamed.fingerprint, streamed.unreadable) == (cached.fingerprint, cached.unreadable)
    assert streamed.preprocessing == cached.preprocessing
    assert streamed.splits.keys() == cached.splits.keys()
    for name, images in streamed.splits.items():
        other = cached.splits[name]
        for column in ("names", "hashes", "modes", "formats"):
            assert list(getattr(images, column)) == list(getattr(other, column))
        for column in ("labels", "sizes", "duplicate_groups"):
            np.testing.assert_array_equal(getattr(images, column), getattr(other, column))
        np.testing.assert_array_equal(images.to_numpy()[0], other.to_numpy()[0])
        positions = np.arange(len(images))[::-1]
        np.testing.assert_array_equal(images.take(positions), other.take(positions))


def read_files(monkeypatch):
    """Return a list of the numbers of files that each scan reads."""
    read: list[int] = []

    def counting(images, *given):
        read.append(len(images))
        return decode_files(images, *given)

    monkeypatch.setattr("saccade.data.sources.scan_parts.decode_files", counting)
    return read


def test_streamed_data_is_the_data_of_the_cache_without_its_array(photos):
    streamed = load(photos, reading=STREAM)
    assert {entry.kind for entry in cache_entries()} == {"indexes", "parts", "scans"}
    assert_same(streamed, load(photos))
    assert_same(load(photos, image_size=48, fit="crop", reading=STREAM), load(photos, image_size=48, fit="crop"))


def test_data_beyond_the_limit_of_the_cache_is_streamed_with_a_note(photos, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", "1MB")
    streamed = load(photos)
    assert re.fullmatch(
        r"images are decoded when they are needed: decoded, they take 2\.2 MB, and the cache has room for [01]\.\d MB "
        r"\(SACCADE_CACHE_LIMIT\)",
        streamed.notes[0],
    )
    assert "decoded" not in {entry.kind for entry in cache_entries()}
    monkeypatch.delenv("SACCADE_CACHE_LIMIT")
    assert_same(streamed, load(photos))


def test_an_archive_and_images_in_memory_are_streamed(photos, tmp_path):
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(photos, "photos")
    streamed = load(tmp_path / "photos.tar", reading=STREAM)
    assert [entry.kind for entry in clear_cache("archives")] == []  # its files are in use
    assert_same(streamed, load(tmp_path / "photos.tar"))
    paths = sorted(photos.rglob("*.png"))[:-1]
    images, labels = [path.read_bytes() for path in paths], [path.parent.name for path in paths]
    assert_same(load((images, labels), reading=STREAM), load((images, labels)))


def test_a_second_start_reads_no_file_and_then_only_those_that_changed(photos, monkeypatch):
    read = read_files(monkeypatch)
    load(photos, reading=STREAM)
    load(photos, reading=STREAM)
    assert read == [28]
    write(photos / "cat/003.png", encode(photo(90, 100, seed=99), "PNG"))
    write(photos / "cat/new.png", encode(photo(90, 100, seed=98), "PNG"))
    (photos / "dog/half.jpg").unlink()
    changed = load(photos, reading=STREAM)
    assert read == [28, 2]
    clear_cache("parts")
    clear_cache("indexes")
    assert_same(changed, load(photos))


KILLED = """
import os, sys
from saccade.data.load import load
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources import scan_parts
scan_parts._PART = 8
original, kept = scan_parts.decode_files, []
scan_parts.decode_files = lambda images, preprocessing: original(images, preprocessing, chunk=8)
keep = scan_parts.ScanParts._keep
def killed(*given):
    if len(kept) == 2:
        os._exit(9)
    kept.append(keep(*given))
scan_parts.ScanParts._keep = killed
load(sys.argv[1], reading=ReadingOptions(stream=True))
"""


def test_a_killed_scan_goes_on_after_its_last_part(photos, monkeypatch):
    ended = subprocess.run([sys.executable, "-c", KILLED, photos], check=False)
    assert ended.returncode == 9
    read = read_files(monkeypatch)
    streamed = load(photos, reading=STREAM)
    assert read == [28 - 2 * 8]
    assert_same(streamed, load(photos))


def test_a_damaged_part_is_read_again(photos, monkeypatch):
    first = load(photos, reading=STREAM)
    for entry in cache_entries():
        if entry.kind == "parts":
            (entry.path / "files.json").write_text("{}")
        elif entry.kind == "indexes":
            (entry.path / "index.json").write_text("{}")
    read = read_files(monkeypatch)
    assert load(photos, reading=STREAM).fingerprint == first.fingerprint
    assert read == [28]


def test_a_file_that_changes_while_it_is_in_use_is_an_error(photos):
    training = load(photos, reading=STREAM).splits["train"]
    path = photos / training.names[0]
    contents = path.read_bytes()
    write(path, encode(photo(90, 100, seed=99), "PNG"))
    with pytest.raises(DataError, match="an image has changed since the data was read") as caught:
        training.take(np.arange(3))
    assert caught.value.found == f"{path}: other contents"
    path.unlink()
    with pytest.raises(DataError, match="No such file"):
        list(training.batches([np.arange(1, 3), np.arange(0, 1)]))
    write(path, contents)
    assert len(training.take(np.arange(3))) == 3


def test_few_images_are_decoded_ahead_of_their_use(photos, monkeypatch):
    monkeypatch.setattr(decode_stream, "MAX_BYTES_AHEAD", 6 * 64 * 64 * 3)
    training = load(photos, image_size=64, reading=STREAM).splits["train"]
    asked: list[int] = []

    def parts():
        for number in range(100):
            asked.append(number)
            yield np.array([number % len(training), (number + 1) % len(training)])

    for number, images in enumerate(training.batches(parts())):
        assert images.shape == (2, 64, 64, 3)
        assert len(asked) <= number + 4  # three parts of two images are decoded ahead of this one
    assert len(asked) == 100


def test_a_batch_may_be_empty_and_the_reading_may_end_early(photos):
    training = load(photos, reading=STREAM).splits["train"]
    empty, one = training.batches([np.empty(0, np.int64), np.array([2])])
    assert (empty.shape, one.shape) == ((0, 160, 160, 3), (1, 160, 160, 3))
    batches = training.batches([np.arange(2)] * 50)
    first = next(batches)
    del batches
    np.testing.assert_array_equal(training.take(np.arange(2)), first)


def children():
    """Return the numbers of the child processes of this process."""
    return {child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()}


@pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="needs Linux's /proc")
def test_the_processes_of_a_dataset_end_with_it(photos):
    before = children()
    dataset = load(photos, reading=STREAM)
    dataset.splits["train"].take(np.arange(2))
    assert children() - before
    del dataset
    deadline = time.monotonic() + 30
    while children() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert children() - before == set()
