"""Images in object stores, by a store in memory and by a server of S3 on this machine."""

import os
from collections import Counter

import numpy as np
import pytest
from tests.data.images import class_folder

from saccade.data.load import load
from saccade.data.reading_options import ReadingOptions
from saccade.errors import DataError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def animals(tmp_path):
    """Return class folders in which the name of one file is a pattern of other names."""
    root = class_folder(tmp_path / "animals")
    (root / "cat/001.png").rename(root / "cat/brack[1]?.png")
    return root


def upload(store, animals, place):
    """Copy images to a place in a store, and return a label file beside them that names the copies."""
    rows = ["image,label,split"]
    for number, path in enumerate(sorted(animals.rglob("*.png"))):
        store.pipe_file(f"{place}/{path.parent.name}/{path.name}", path.read_bytes())
        split = ("train", "train", "validation", "test")[number % 4]
        rows.append(f"{place}/{path.parent.name}/{path.name},{path.parent.name},{split}")
    table = animals.parent / "remote.csv"
    table.write_text("\n".join(rows))
    (animals.parent / "local.csv").write_text("\n".join(row.replace(place, "animals") for row in rows))
    return table


@pytest.fixture
def table(animals):
    store = fsspec.filesystem("memory")
    yield upload(store, animals, "memory://bucket")
    store.rm("/bucket", recursive=True)


def assert_same_images(remote, local):
    assert remote.splits.keys() == local.splits.keys() == {"train", "validation", "test"}
    for name, images in remote.splits.items():
        assert list(images.hashes) == list(local.splits[name].hashes)
        np.testing.assert_array_equal(images.to_numpy()[0], local.splits[name].to_numpy()[0])
        np.testing.assert_array_equal(images.labels, local.splits[name].labels)


def counted(monkeypatch):
    """Return the numbers of readings of each path in the store in memory."""
    from fsspec.implementations.memory import MemoryFileSystem

    read: Counter[str] = Counter()
    original = MemoryFileSystem.cat_file

    def counting(self, path, *given, **named):
        read[path] += 1
        return original(self, path, *given, **named)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counting)
    return read


@pytest.mark.parametrize("stream", [False, True])
def test_remote_images_are_those_of_the_files(table, animals, stream):
    remote = load(table, reading=ReadingOptions(stream=stream))
    assert remote.splits["train"].names[0] == "memory://bucket/cat/000.png"
    assert_same_images(remote, load(animals.parent / "local.csv"))


def test_a_second_start_reads_only_what_changed(table, animals, monkeypatch):
    streamed = ReadingOptions(stream=True)
    load(table, image_size=32, reading=streamed)  # a size, since up to 64 headers would give it
    read = counted(monkeypatch)
    load(table, image_size=32, reading=streamed)
    assert read == {}
    (path,) = (animals / "cat").glob("004.png")
    path.write_bytes((animals / "dog/002.png").read_bytes()[:-4] + b"more")
    fsspec.filesystem("memory").pipe_file("/bucket/cat/004.png", path.read_bytes())
    load(table, image_size=32, reading=streamed)
    assert set(read) == {"/bucket/cat/004.png"}


def test_a_missing_image_is_unreadable(table):
    fsspec.filesystem("memory").rm("/bucket/dog/003.png")
    (missing,) = load(table).unreadable
    assert missing.path == "memory://bucket/dog/003.png"


def test_a_store_that_fails_is_an_error_without_the_words_of_its_library(table, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    def failing(*_given, **_named):
        raise PermissionError("the key SECRET is wrong")

    monkeypatch.setattr(MemoryFileSystem, "ls", failing)
    with pytest.raises(DataError, match="memory://bucket/cat can't be read") as caught:
        load(table)
    assert "SECRET" not in str(caught.value)
    assert caught.value.found == "PermissionError of the library of the store"


def test_credentials_in_an_address_are_refused_and_not_repeated(animals):
    table = animals.parent / "table.csv"
    table.write_text("image,label\ns3://KEY:SECRET@bucket/1.png,cat\ns3://bucket/2.png,dog\n")
    with pytest.raises(DataError, match="the address of an image holds a user or a password") as caught:
        load(table)
    assert "SECRET" not in str(caught.value)


def test_a_missing_library_is_named(animals, monkeypatch):
    import fsspec.core

    def missing(_address):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    table = animals.parent / "table.csv"
    table.write_text("image,label\ns3://bucket/1.png,cat\ns3://bucket/2.png,dog\n")
    with pytest.raises(DataError, match="images at s3:// can't be read") as caught:
        load(table)
    assert "pip install 'saccade[remote]'" in str(caught.value)


def test_images_on_a_server_of_s3(animals, monkeypatch):
    server_of = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_of.ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in (("ID", "testing"), ("SECRET_ACCESS_KEY", "testing")):
            monkeypatch.setenv(f"AWS_{'ACCESS_KEY_' if name == 'ID' else ''}{name}", value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_DEFAULT_REGION", os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))
        store = s3fs.S3FileSystem()
        store.mkdir("animals-of-the-test")
        table = upload(store, animals, "s3://animals-of-the-test")
        store.invalidate_cache()
        assert_same_images(load(table, reading=ReadingOptions(stream=True)), load(animals.parent / "local.csv"))
    finally:
        server.stop()
