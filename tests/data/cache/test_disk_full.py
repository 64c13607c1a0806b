"""A full disk: a plain error that keeps what is done."""

import subprocess
import sys

import numpy as np
import pytest
from tests.data.images import class_folder

from saccade.data.cache import disk_cache
from saccade.data.cache.disk_cache import cache_entries
from saccade.data.decoding.decode_files import decode_files
from saccade.data.load import load
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources import scan_parts
from saccade.errors import DataError

STREAM = ReadingOptions(stream=True)
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
from saccade.data.load import load
from saccade.errors import DataError
try:
    load(sys.argv[1])
except DataError as error:
    print(error)
"""


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """Return the folder of the cache on a disk of 400 KB; only root may mount it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mounting, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk can't be mounted here")
    monkeypatch.setenv("SACCADE_CACHE", str(folder / "cache"))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_keeps_the_parts_of_a_scan(small_disk, tmp_path, monkeypatch):
    animals = class_folder(tmp_path / "animals", count=80)
    monkeypatch.setattr(scan_parts, "_PART", 25)
    read: list[int] = []

    def reading(images, preprocessing):
        read.append(len(images))
        return decode_files(images, preprocessing, chunk=25)

    monkeypatch.setattr("saccade.data.sources.scan_parts.decode_files", reading)
    with pytest.raises(DataError, match="there is too little space for the cache") as caught:
        load(animals, reading=STREAM)
    assert "SACCADE_CACHE to a folder on a larger disk" in str(caught.value)
    parts = [entry for entry in cache_entries() if entry.kind == "parts"]
    assert 1 <= len(parts) <= 6
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert len(load(animals, reading=STREAM).splits["train"]) > 100
    assert read == [160, 160 - 25 * len(parts)]


def test_an_array_that_does_not_fit_on_the_disk_names_the_stream_as_a_remedy(small_disk, tmp_path):
    with pytest.raises(DataError, match="there is too little space for the cache") as caught:
        load(class_folder(tmp_path / "animals", count=80))
    assert "decode the images when they are needed: --stream" in str(caught.value)


def test_an_array_that_does_not_fit_is_an_error_and_leaves_no_entry(small_disk):
    with (
        pytest.raises(DataError, match="there is too little space for the cache"),
        disk_cache.building() as built,
        disk_cache.array_stream(built / "features.npy", "<f4", (125_000,)) as stream,
    ):
        stream.write(np.zeros(125_000, np.float32).data)
    assert cache_entries() == []
    assert list((small_disk / "cache/building").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of the size of a file")
def test_a_file_that_may_not_grow_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    command = [sys.executable, "-c", LIMITED, str(class_folder(tmp_path / "animals"))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "there is too little space for the cache" in ended.stdout, ended.stderr
    assert list((tmp_path / "cache/building").iterdir()) == []
