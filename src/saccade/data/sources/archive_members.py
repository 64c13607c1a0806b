"""Members of zip and tar archives, with a check that each member may be unpacked."""

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

_MAX_PATH_LENGTH = 3000  # bytes; systems allow more, but the path of the cache precedes the path
_MAX_NAME_LENGTH = 255  # bytes
_MAX_READ = 4 << 20  # bytes


@dataclass(frozen=True)
class Member:
    """File or folder in an archive.

    Attributes:
        name: path in the archive.
        target: checked path, inside the folder into which the archive is unpacked.
        open: function that opens the contents of a file; None for a folder.
        packed: number of bytes of the archive that were read since the previous member.
    """

    name: str
    target: PurePosixPath
    open: Callable[[], IO[bytes]] | None
    packed: int


def zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    """Iterate over the members of a zip archive.

    Raises:
        ArchiveError: a member is encrypted, a link or a device, or would be unpacked outside the folder.
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
    """Open a tar archive, uncompressed or compressed by gzip or xz, detected by content."""
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
    """Iterate over the members of a tar archive, which is read from the file `packed`.

    Raises:
        ArchiveError: a member is a link or a device, or would be unpacked outside the folder.
        tarfile.ReadError: the archive ends before its end mark.
    """
    position = 0
    for entry in archive:
        previous, position = position, packed.tell()
        if entry.issparse() or not (entry.isreg() or entry.isdir()):
            raise member_error(entry.name, "is a link" if entry.issym() or entry.islnk() else "is no regular file")
        contents = None if entry.isdir() else partial(_open, archive, entry)
        yield Member(entry.name, _target(entry.name), contents, position - previous)
    _check_end(archive)


class _BoundedReads(io.BufferedIOBase):
    """Stream with a limit for the size of one read.

    `tarfile` reads a long name in one piece, of the size in the header.
    """

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_READ:
            raise tarfile.ReadError("a header is too long")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def member_error(name: str, reason: str, remedy: str = "use only archives whose origin you trust") -> ArchiveError:
    """Return the error for an archive with a member that may not be unpacked."""
    return ArchiveError(f"the archive's member {name!r} {reason}", expected="plain files and folders", remedy=remedy)


def _open(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    contents = archive.extractfile(entry)
    if contents is None:
        raise tarfile.ReadError(f"{entry.name!r} has no contents")
    return contents


def _check_end(archive: tarfile.TarFile) -> None:
    """Require a block of zeros at the end, because `tarfile` treats a damaged or truncated header as the end."""
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it ends before its end mark")


def _target(name: str) -> PurePosixPath:
    # Zip archives from Windows may use backslashes as separators, which must not hide a path out of the folder.
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts[0] if path.parts else ""):
        raise member_error(name, "would be unpacked outside its folder")
    encoded = name.encode(errors="surrogateescape")
    if b"\0" in encoded or len(encoded) > _MAX_PATH_LENGTH or max(map(len, encoded.split(b"/"))) > _MAX_NAME_LENGTH:
        raise member_error(name[:100], "has a name that no file can have")
    return path
