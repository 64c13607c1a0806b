"""The members of archives, one at a time, and which of them may be unpacked."""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import IO

from saccade.errors import ArchiveError

_LONGEST_PATH = 3000  # bytes; below what systems allow, since the path of the cache comes before it
_LONGEST_NAME = 255
_LONGEST_READ = 4 << 20


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive.

    Attributes:
        name: its path in the archive.
        target: the same, known to stay below the folder into which the archive is unpacked.
        open: opens a file's contents for reading; None for a folder.
        packed: how many bytes of the archive were read for the members up to this one since the one before.
    """

    name: str
    target: PurePosixPath
    open: Callable[[], IO[bytes]] | None
    packed: int


def zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    """The members of a zip archive.

    Raises:
        ArchiveError: at a member that is encrypted, a link or a device, or that would lie outside the folder.
    """
    for entry in archive.infolist():
        name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
        if entry.flag_bits & 1:
            raise member_error(name, "is encrypted", "unpack the archive yourself and give the folder")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise member_error(name, "is a link" if kind == stat.S_IFLNK else "is no regular file")
        contents = None if entry.is_dir() else partial(archive.open, entry)
        yield Member(name, _target(name), contents, entry.compress_size)


@contextmanager
def open_tar(packed: io.BufferedReader) -> Iterator[tarfile.TarFile]:
    """Opens a tar archive, compressed by gzip or xz or not at all, whatever its name says."""
    start = packed.read(6)
    packed.seek(0)
    with ExitStack() as streams:
        stream: io.BufferedIOBase = packed
        if start.startswith(b"\x1f\x8b"):
            stream = streams.enter_context(gzip.open(packed))
        elif start.startswith(b"\xfd7zXZ\x00"):
            stream = streams.enter_context(lzma.open(packed))
        yield streams.enter_context(tarfile.open(fileobj=_BoundedReads(stream), mode="r:"))


def tar_members(archive: tarfile.TarFile, packed: io.BufferedReader) -> Iterator[Member]:
    """The members of a tar archive that is being read from the file `packed`.

    Raises:
        ArchiveError: at a member that is a link or a device, or that would lie outside the folder.
        tarfile.ReadError: at the end, if the archive ends before its end mark.
    """
    position = 0
    for entry in archive:
        before, position = position, packed.tell()
        if entry.issparse() or not (entry.isreg() or entry.isdir()):
            raise member_error(entry.name, "is a link" if entry.issym() or entry.islnk() else "is no regular file")
        contents = None if entry.isdir() else partial(_open, archive, entry)
        yield Member(entry.name, _target(entry.name), contents, position - before)
    _check_end(archive)


class _BoundedReads(io.BufferedIOBase):
    """A stream of which only so much can be read at once.

    The library reads a long name in one piece, however long a header says that it is.
    """

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_READ:
            raise tarfile.ReadError("a header is absurdly long")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def member_error(name: str, reason: str, remedy: str = "use only archives whose origin you trust") -> ArchiveError:
    """The error that a member of an archive is not unpacked, nor is the archive."""
    return ArchiveError(f"the archive's member {name!r} {reason}", expected="plain files and folders", remedy=remedy)


def _open(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    contents = archive.extractfile(entry)
    if contents is None:
        raise tarfile.ReadError(f"{entry.name!r} has no contents")
    return contents


def _check_end(archive: tarfile.TarFile) -> None:
    """The library takes a header that is damaged or cut off for the end; the true end is a block of zeros."""
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it ends before its end mark")


def _target(name: str) -> PurePosixPath:
    # Zip archives made on Windows may separate folders by backslashes, which must not hide a way out.
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts[0] if path.parts else ""):
        raise member_error(name, "would be unpacked outside its folder")
    encoded = name.encode(errors="surrogateescape")
    if b"\0" in encoded or len(encoded) > _LONGEST_PATH or max(map(len, encoded.split(b"/"))) > _LONGEST_NAME:
        raise member_error(name[:100], "has a name that no file can have")
    return path
