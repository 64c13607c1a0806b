import io
import os
import stat
import tarfile
import zipfile

import pytest
from backports.zstd import tarfile as zstd_tarfile
from tests.data.images import class_folder, encode, photo

from saccade.data.cache.disk_cache import cache_entries, cache_folder
from saccade.data.sources import archives
from saccade.data.sources.archives import archive_hash, archive_stem, is_archive, unpacked
from saccade.errors import ArchiveError, DataError

FORMATS = {
    ".zip": None,
    ".tar": "w",
    ".tar.gz": "w:gz",
    ".tgz": "w:gz",
    ".tar.bz2": "w:bz2",
    ".tbz2": "w:bz2",
    ".tar.xz": "w:xz",
    ".txz": "w:xz",
    ".tar.zst": "w:zst",
    ".tzst": "w:zst",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))


def pack(path, members):
    """Write an archive of the format of its suffix; a member is bytes, or None for a folder."""
    suffix = next(suffix for suffix in FORMATS if path.name.endswith(suffix))
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, contents in members.items():
                archive.writestr(name, contents or b"")
        return path
    opened = zstd_tarfile if FORMATS[suffix] == "w:zst" else tarfile
    with opened.open(path, FORMATS[suffix]) as archive:
        for name, contents in members.items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if contents is None else tarfile.REGTYPE
            info.size = len(contents or b"")
            archive.addfile(info, io.BytesIO(contents or b""))
    return path


def pack_special(path, kind, target=""):
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("data/odd")
        info.type, info.linkname = kind, target
        archive.addfile(info)
    return path


def unpack(path):
    with unpacked(path, archive_hash(path)) as folder:
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def failure(path, kind=ArchiveError):
    with pytest.raises(kind) as caught:
        unpack(path)
    assert not cache_entries()
    assert not list((cache_folder() / "building").iterdir())
    return str(caught.value)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_unpacked_once(tmp_path, suffix):
    members = {"data/": None, "data/a/1.jpg": b"one", "data/b/2.jpg": b"two" * 10_000, "data/empty.jpg": b""}
    path = pack(tmp_path / f"data{suffix}", members)
    expected = {name: contents for name, contents in members.items() if contents is not None}
    assert is_archive(path)
    assert archive_stem(path) == "data"
    assert unpack(path) == expected
    (entry,) = cache_entries()
    assert (entry.kind, entry.name) == ("archives", "data")
    before = {file: file.stat().st_mtime_ns for file in entry.path.rglob("*.jpg")}
    assert unpack(path) == expected
    assert {file: file.stat().st_mtime_ns for file in entry.path.rglob("*.jpg")} == before


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("name", ["../out.jpg", "a/../../out.jpg", "/tmp/out.jpg", "a\\..\\..\\out.jpg", "C:\\out.jpg"])
def test_members_outside_the_folder_are_an_error(tmp_path, suffix, name):
    message = failure(pack(tmp_path / f"bad{suffix}", {"a/1.jpg": b"1", name: b"2"}))
    assert f"the archive's member {name.replace(os.sep, '/')!r} would be unpacked outside its folder" in message
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.CHRTYPE, "is no regular file"),
        (tarfile.BLKTYPE, "is no regular file"),
        (tarfile.FIFOTYPE, "is no regular file"),
    ],
)
def test_links_and_devices_in_a_tar_are_an_error(tmp_path, kind, reason):
    message = failure(pack_special(tmp_path / "bad.tar", kind, target="/etc/passwd"))
    assert f"the archive's member 'data/odd' {reason}" in message
    assert "expected: plain files and folders" in message


def test_a_link_in_a_zip_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        info = zipfile.ZipInfo("data/odd")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert "'data/odd' is a link" in failure(tmp_path / "bad.zip")


def test_an_encrypted_zip_is_an_error(tmp_path):
    path = pack(tmp_path / "secret.zip", {"a/1.jpg": b"1"})
    contents = bytearray(path.read_bytes())
    contents[contents.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(contents)
    message = failure(path)
    assert "'a/1.jpg' is encrypted" in message
    assert "what to do: unpack the archive yourself and give the folder" in message


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.xz"])
def test_an_archive_with_a_high_compression_ratio_is_an_error(tmp_path, suffix):
    message = failure(pack(tmp_path / f"bomb{suffix}", {"a/1.jpg": bytes(110_000_000)}))
    assert "the archive unpacks to far more bytes than images do" in message
    assert "expected: at most 200 bytes for each byte of the archive" in message
    assert "found: more, in 'a/1.jpg'" in message


def test_a_zip_with_a_false_member_size_is_an_error(tmp_path):
    path = pack(tmp_path / "liar.zip", {"a/1.jpg": bytes(5_000_000)})
    contents = bytearray(path.read_bytes())
    place = contents.index(b"PK\x01\x02") + 24
    contents[place : place + 4] = (10).to_bytes(4, "little")
    path.write_bytes(contents)
    assert "liar.zip is damaged" in failure(path)


def test_too_many_members_or_bytes_are_an_error(tmp_path, monkeypatch):
    path = pack(tmp_path / "many.tar", {f"a/{number}.jpg": b"12345" for number in range(10)})
    monkeypatch.setattr(archives, "MAX_MEMBERS", 9)
    assert "the archive has too many members, in many.tar\n  expected: at most 9" in failure(path)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    monkeypatch.setattr(archives, "MAX_BYTES", 49)
    assert (
        "the archive has too many bytes, in many.tar\n  expected: at most 49\n  found: more, in 'a/9.jpg'"
        in failure(path)
    )


def test_too_little_space_is_an_error_before_unpacking(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MIN_FREE_SPACE", 1 << 60)
    message = failure(pack(tmp_path / "data.zip", {"a/1.jpg": b"1"}), DataError)
    assert "there is too little space for the cache" in message
    assert "saccade cache --clear" in message


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_archives_are_an_error(tmp_path, suffix):
    images = {f"a/{number}.jpg": encode(photo(seed=number), "JPEG") for number in range(20)}
    whole = pack(tmp_path / f"whole{suffix}", images).read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(whole[: len(whole) // 2])
    message = failure(tmp_path / f"cut{suffix}")
    assert f"the archive cut{suffix} is damaged or of an unknown format" in message
    (tmp_path / f"text{suffix}").write_bytes(b"this is no archive")
    assert f"the archive text{suffix} is damaged" in failure(tmp_path / f"text{suffix}")


def test_a_header_that_would_fill_the_memory_is_an_error(tmp_path):
    with tarfile.open(tmp_path / "long.tar.xz", "w:xz") as archive:
        info = tarfile.TarInfo("long name")
        info.type, info.size = tarfile.XHDTYPE, 8_000_000
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    assert "found: a header is too long" in failure(tmp_path / "long.tar.xz")


def test_members_of_the_same_name_are_an_error(tmp_path):
    with tarfile.open(tmp_path / "twice.tar", "w") as archive:
        for contents in (b"1", b"2"):
            info = tarfile.TarInfo("a/1.jpg")
            info.size = 1
            archive.addfile(info, io.BytesIO(contents))
    assert "'a/1.jpg' is in the archive twice" in failure(tmp_path / "twice.tar")


def test_a_tar_of_a_folder(tmp_path):
    root = class_folder(tmp_path / "animals", count=2)
    with tarfile.open(tmp_path / "animals.tar.gz", "w:gz") as archive:
        archive.add(root, "animals")
    assert sorted(unpack(tmp_path / "animals.tar.gz")) == [
        "animals/cat/000.png",
        "animals/cat/001.png",
        "animals/dog/000.png",
        "animals/dog/001.png",
    ]
