"""Archives of images, unpacked once into the cache. An archive is hostile until every member has been looked at."""

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
from saccade.data.sources.archive_members import Member, member_error, open_tar, tar_members, zip_members
from saccade.errors import ArchiveError
from saccade.progress import counting

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz")
MOST_MEMBERS = 1_000_000
MOST_BYTES = 50_000_000_000
LARGEST_RATIO = 200
"""Bytes unpacked to a byte of the archive: photographs hardly shrink, and drawings do so by less."""

# Small archives of small or simple images compress well without meaning harm.
_RATIO_COUNTS_FROM = 100_000_000
_PIECE = 1 << 20
# What the libraries raise on damaged archives; RecursionError is a RuntimeError, UnicodeError a ValueError.
_DAMAGES = (
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
_MARGIN = 200_000_000  # bytes of the disk that stay free


def is_archive(path: Path) -> bool:
    """Whether a file's name is that of an archive."""
    return path.name.lower().endswith(SUFFIXES)


def archive_stem(path: Path) -> str:
    """The name of an archive without its suffix: `cifar10-jpeg` for `cifar10-jpeg.tar.xz`."""
    suffix = max((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), key=len, default="")
    return path.name[: len(path.name) - len(suffix)]


def archive_hash(path: Path, *, progress: bool = False) -> str:
    """The SHA-256 of an archive, in hexadecimal.

    Raises:
        ArchiveError: if it can't be read.
    """
    digest = hashlib.sha256()
    with (
        _readable(path),
        path.open("rb") as stream,
        counting("reading", total=path.stat().st_size, unit="bytes", shown=progress) as bar,
    ):
        while piece := stream.read(_PIECE):
            digest.update(piece)
            bar.update(len(piece))
    return digest.hexdigest()


@contextmanager
def unpacked(path: Path, sha256: str, *, progress: bool = False) -> Iterator[Path]:
    """The folder in the cache that holds the files of an archive; they are unpacked if they aren't there yet.

    Only regular files and folders are unpacked, all of them inside that folder. Times, owners and permissions are not
    taken over. The folder is not removed from the cache as long as it is in use.

    Args:
        path: the archive.
        sha256: its hash, from `archive_hash`, by which it is known in the cache.
        progress: whether to show progress on standard error.

    Raises:
        ArchiveError: if the archive is damaged or encrypted, if a member would lie outside the folder or is a link or
            a device, or if there are too many members or bytes.
        DataError: if there is too little space.
    """
    entry = disk_cache.find_entry("archives", sha256)
    if entry is None:
        with disk_cache.building() as built:
            (built / "files").mkdir()
            with _readable(path):
                _unpack_into(built / "files", path, progress=progress)
            entry = disk_cache.keep(built, "archives", sha256, archive_stem(path))
    with disk_cache.in_use(entry):
        yield entry / "files"


def _unpack_into(root: Path, path: Path, *, progress: bool) -> None:
    allowance = _Allowance(path, root)
    with _members(path) as (members, total):
        allowance.check_total(total)
        with counting("unpacking", total=path.stat().st_size, unit="bytes", shown=progress) as bar:
            for member in members:
                allowance.count_member()
                _write(root, member, allowance)
                bar.update(member.packed)


@contextmanager
def _members(path: Path) -> Iterator[tuple[Iterator[Member], int]]:
    """The members, and how many bytes they say they have in all, 0 where the archive does not say so at its start."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield zip_members(archive), sum(entry.file_size for entry in archive.infolist())
    else:
        with path.open("rb") as packed, open_tar(packed) as tar:
            yield tar_members(tar, packed), 0


def _write(root: Path, member: Member, allowance: _Allowance) -> None:
    target = root / member.target
    folder = target.parent if member.open else target
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
        if member.open:
            with target.open("xb") as unpacked, member.open() as source:
                while piece := source.read(_PIECE):
                    allowance.count_bytes(len(piece), member.name)
                    unpacked.write(piece)
    except (FileExistsError, NotADirectoryError):
        raise member_error(member.name, "stands in it twice") from None


class _Allowance:
    """How much an archive may still unpack: counted as it is written, since what archives say of themselves may lie."""

    def __init__(self, path: Path, root: Path) -> None:
        self._packed = path.stat().st_size
        self._root = root
        self._members = 0
        self._bytes = 0
        self._checked_space_at = 0

    def check_total(self, announced: int) -> None:
        if announced > MOST_BYTES:
            raise _too_much("bytes", MOST_BYTES, f"{announced:,}")
        self._check_space(announced)

    def count_member(self) -> None:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise _too_much("members", MOST_MEMBERS, "more")

    def count_bytes(self, count: int, name: str) -> None:
        self._bytes += count
        if self._bytes > MOST_BYTES:
            raise _too_much("bytes", MOST_BYTES, f"more, in {name!r}")
        if self._bytes > _RATIO_COUNTS_FROM and self._bytes > LARGEST_RATIO * self._packed:
            raise ArchiveError(
                "the archive unpacks to far more than images do, as one made to fill the disk would",
                expected=f"at most {LARGEST_RATIO} bytes for each byte of the archive",
                found=f"more, in {name!r}",
            )
        if self._bytes - self._checked_space_at >= 100 * _PIECE:
            self._checked_space_at = self._bytes
            self._check_space(0)

    def _check_space(self, needed: int) -> None:
        if shutil.disk_usage(self._root).free < needed + _MARGIN:
            raise disk_cache.no_space(self._root)


def _too_much(what: str, most: int, found: str) -> ArchiveError:
    return ArchiveError(f"the archive has too many {what}", expected=f"at most {most:,}", found=found)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what the libraries raise on a damaged or unreadable archive into an error that names the archive."""
    try:
        yield
    except _DAMAGES as error:
        raise ArchiveError(
            f"the archive {path.name} is damaged or of a kind that can't be read",
            expected=f"a file of the kind {', '.join(SUFFIXES)}",
            found=str(error) or type(error).__name__,
        ) from None
    except PermissionError:
        raise ArchiveError(f"the archive {path} may not be read", remedy="change its permissions") from None
