"""Archives of images, unpacked once into the cache. Every member is checked, because an archive may be hostile."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saccade.data.cache import disk_cache
from saccade.data.sources.archive_members import (
    SUFFIXES,
    Member,
    duplicate_error,
    open_tar,
    tar_members,
    zip_members,
)
from saccade.errors import ArchiveError
from saccade.progress import counting

MAX_MEMBERS = 1_000_000
MAX_BYTES = 50_000_000_000
MAX_RATIO = 200
"""Largest ratio of unpacked to packed bytes. Photographs hardly compress, and graphics compress by a smaller ratio."""

# The ratio is not checked below this number of bytes, because small archives of simple images compress well.
_MIN_BYTES_FOR_RATIO = 100_000_000
_NOTES = "notes.txt"
_BLOCK = 1 << 20  # bytes
# Errors of the libraries for damaged archives; RecursionError is a RuntimeError, UnicodeError a ValueError.
_DAMAGE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    OverflowError,
    RuntimeError,
    ValueError,
)
MIN_FREE_SPACE = 200_000_000  # bytes of the disk


def is_archive(path: Path) -> bool:
    """Return whether a file has the suffix of an archive."""
    return path.name.lower().endswith(SUFFIXES)


def archive_stem(path: Path) -> str:
    """Return the name of an archive without its suffix: `cifar10-jpeg` for `cifar10-jpeg.tar.xz`."""
    suffix = max((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), key=len, default="")
    return path.name[: len(path.name) - len(suffix)]


def archive_hash(path: Path, *, progress: bool = False) -> str:
    """Return the SHA-256 of an archive, in hexadecimal.

    Raises:
        ArchiveError: the archive can't be read.
    """
    digest = hashlib.sha256()
    with (
        _readable(path),
        path.open("rb") as stream,
        counting("reading", total=path.stat().st_size, unit="bytes", shown=progress) as bar,
    ):
        while block := stream.read(_BLOCK):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


@contextmanager
def unpacked(path: Path, sha256: str, encoding: str | None = None, *, progress: bool = False) -> Iterator[Path]:
    """Return the folder of an unpacked archive in the cache; unpack the archive if necessary.

    Only regular files and folders are unpacked, all inside the folder. Times, owners and permissions are not restored.
    The folder is not removed from the cache while it is in use.

    Args:
        path: path of the archive.
        sha256: hash of the archive from `archive_hash`, the key in the cache.
        encoding: encoding of the names that are not marked as UTF-8; None as for `ReadingOptions`.
        progress: whether to show progress on standard error.

    Raises:
        ArchiveError: the archive is damaged or encrypted, has too many members or bytes, or has a member that is a
            link, a device or an archive, or would be unpacked outside the folder.
        DataError: there is too little space.
    """
    key = f"{sha256}-{encoding}" if encoding else sha256
    entry = disk_cache.find_entry("archives", key)
    if entry is None:
        with disk_cache.building() as built:
            (built / "files").mkdir()
            with _readable(path):
                found = _unpack_into(built / "files", path, encoding, progress=progress)
            (built / _NOTES).write_text("\n".join(found), encoding="utf-8")
            entry = disk_cache.keep(built, "archives", key, archive_stem(path))
    with disk_cache.in_use(entry):
        yield entry / "files"


def unpacking_notes(folder: Path) -> tuple[str, ...]:
    """Return the notes about an archive from the folder of `unpacked`, such as one on the encoding of names."""
    notes = folder.parent / _NOTES
    return tuple(notes.read_text(encoding="utf-8").splitlines()) if notes.exists() else ()


def _unpack_into(root: Path, path: Path, encoding: str | None, *, progress: bool) -> list[str]:
    """Unpack an archive into an empty folder, and return notes."""
    allowance = _Allowance(path, root)
    notes: list[str] = []
    with _members(path, encoding, notes) as (members, total):
        allowance.check_total(total)
        with counting("unpacking", total=path.stat().st_size, unit="bytes", shown=progress) as bar:
            for member in members:
                allowance.count_member()
                _write(root, member, allowance)
                bar.update(member.packed)
    return notes


@contextmanager
def _members(path: Path, encoding: str | None, notes: list[str]) -> Iterator[tuple[Iterator[Member], int]]:
    """Open an archive; return its members and their total size in bytes by the header, 0 for a tar archive."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield zip_members(archive, encoding, notes), sum(entry.file_size for entry in archive.infolist())
    else:
        with path.open("rb") as packed, open_tar(packed, encoding) as tar:
            yield tar_members(tar, packed, notes), 0


def _write(root: Path, member: Member, allowance: _Allowance) -> None:
    target = root / member.target
    folder = target.parent if member.open else target
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
        if member.open:
            with target.open("xb") as unpacked, member.open() as source:
                while block := source.read(_BLOCK):
                    allowance.count_bytes(len(block), member.name)
                    unpacked.write(block)
    except (FileExistsError, NotADirectoryError):
        raise duplicate_error(member.name) from None


class _Allowance:
    """Limits of an archive, checked against the written bytes, because the sizes in an archive may be false."""

    def __init__(self, path: Path, root: Path) -> None:
        self._packed = path.stat().st_size
        self._root = root
        self._members = 0
        self._bytes = 0
        self._checked_space_at = 0

    def check_total(self, announced: int) -> None:
        if announced > MAX_BYTES:
            raise _too_many("bytes", MAX_BYTES, f"{announced:,}")
        self._check_space(announced)

    def count_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise _too_many("members", MAX_MEMBERS, "more")

    def count_bytes(self, count: int, name: str) -> None:
        self._bytes += count
        if self._bytes > MAX_BYTES:
            raise _too_many("bytes", MAX_BYTES, f"more, in {name!r}")
        if self._bytes > _MIN_BYTES_FOR_RATIO and self._bytes > MAX_RATIO * self._packed:
            raise ArchiveError(
                "the archive unpacks to far more bytes than images do, and may be made to fill the disk",
                expected=f"at most {MAX_RATIO} bytes for each byte of the archive",
                found=f"more, in {name!r}",
            )
        if self._bytes - self._checked_space_at >= 100 * _BLOCK:
            self._checked_space_at = self._bytes
            self._check_space(0)

    def _check_space(self, needed: int) -> None:
        if shutil.disk_usage(self._root).free < needed + MIN_FREE_SPACE:
            raise disk_cache.no_space(self._root)


def _too_many(unit: str, maximum: int, found: str) -> ArchiveError:
    return ArchiveError(f"the archive has too many {unit}", expected=f"at most {maximum:,}", found=found)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Convert the libraries' errors for a damaged or unreadable archive to an `ArchiveError`."""
    try:
        yield
    except _DAMAGE_ERRORS as error:
        raise _damaged(path, error) from None
    except PermissionError:
        raise ArchiveError(f"the archive {path} may not be read", remedy="change its permissions") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, error) from None  # bzip2's error has no number
    except ArchiveError as error:
        raise ArchiveError(
            f"{error.problem}, in {path.name}", expected=error.expected, found=error.found, remedy=error.remedy
        ) from None


def _damaged(path: Path, error: Exception) -> ArchiveError:
    return ArchiveError(
        f"the archive {path.name} is damaged or of an unknown format",
        expected=f"a file of a format of {', '.join(SUFFIXES)}",
        found=str(error) or type(error).__name__,
        remedy="copy or download the archive again, or unpack it yourself and give the folder",
    )
