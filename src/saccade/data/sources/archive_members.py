"""Members of zip and tar archives, with a check that each member may be unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import IO

from saccade.errors import ArchiveError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
"""Suffixes of the archives that Saccade reads."""
OTHER_SUFFIXES = (".7z", ".rar", ".iso", ".tar.lz4", ".tar.lzma", ".tar.z")
"""Suffixes of archives that Saccade does not read."""

_MAX_PATH_LENGTH = 3000  # bytes; systems allow more, but the path of the cache precedes the path
_MAX_NAME_LENGTH = 255  # bytes
_MAX_READ = 4 << 20  # bytes
_UTF8_FLAG = 0x800
_UNPACK = "unpack the archive yourself and give the folder"


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


def zip_members(archive: zipfile.ZipFile, encoding: str | None, notes: list[str]) -> Iterator[Member]:
    """Iterate over the members of a zip archive.

    Args:
        archive: the archive.
        encoding: encoding of the names that are not marked as UTF-8. None: UTF-8 if all names are valid UTF-8, else
            code page 437, the encoding of the zip specification (APPNOTE.TXT 6.3.10, appendix D).
        notes: list to which a note about the encoding is appended.

    Raises:
        ArchiveError: a member is encrypted, a link, a device or an archive, or would be unpacked outside the folder; or
            a name is not valid in the encoding.
    """
    entries = archive.infolist()
    for entry, name in zip(entries, _zip_names(entries, encoding, notes), strict=True):
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.flag_bits & 1:
            raise member_error(name, "is encrypted", _UNPACK)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise member_error(name, "is a link" if kind == stat.S_IFLNK else "is no regular file", _UNPACK)
        # The entry of a folder from Windows may end in a backslash.
        contents = None if name.endswith(("/", "\\")) else partial(archive.open, entry)
        yield Member(name, _target(name, is_file=contents is not None), contents, entry.compress_size)


def _zip_names(entries: Sequence[zipfile.ZipInfo], encoding: str | None, notes: list[str]) -> list[str]:
    """Return the names of the entries, decoded anew where they are not marked as UTF-8."""
    unmarked = [entry.orig_filename.encode("cp437") for entry in entries if not entry.flag_bits & _UTF8_FLAG]
    if encoding is None:
        encoding = "utf-8" if all(map(_is_utf8, unmarked)) else "cp437"
        if encoding == "cp437":
            notes.append(
                "names in the archive are no UTF-8 and were read as code page 437: if they look wrong, name their "
                "encoding, such as --archive-encoding gbk"
            )
    try:
        decoded = iter([name.decode(encoding) for name in unmarked])
    except UnicodeDecodeError as error:
        raise ArchiveError(
            f"a name in the archive is not valid in the encoding {encoding}",
            found=repr(error.object), remedy="name another encoding with --archive-encoding, or omit the option",
        ) from None  # fmt: skip
    return [entry.orig_filename if entry.flag_bits & _UTF8_FLAG else next(decoded) for entry in entries]


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def open_tar(packed: io.BufferedReader, encoding: str | None) -> Iterator[tarfile.TarFile]:
    """Open a tar archive, uncompressed or compressed by gzip, bzip2, xz or Zstandard, detected by content.

    Args:
        packed: the file.
        encoding: encoding of the names; None for UTF-8.

    Raises:
        ArchiveError: Zstandard is not installed.
    """
    start = packed.read(6)
    packed.seek(0)
    with ExitStack() as streams:
        stream: io.BufferedIOBase = packed
        if start.startswith(b"\x1f\x8b"):
            stream = streams.enter_context(gzip.open(packed))
        elif start.startswith(b"BZh"):
            stream = streams.enter_context(bz2.open(packed))
        elif start.startswith(b"\xfd7zXZ\x00"):
            stream = streams.enter_context(lzma.open(packed))
        elif start.startswith(b"\x28\xb5\x2f\xfd"):
            stream = streams.enter_context(_open_zstandard(packed))
        bounded = _BoundedReads(stream)
        yield streams.enter_context(tarfile.open(fileobj=bounded, mode="r:", encoding=encoding or "utf-8"))


def _open_zstandard(packed: io.BufferedReader) -> io.BufferedIOBase:
    try:
        from backports import zstd
    except ImportError:
        raise ArchiveError(
            "archives compressed by Zstandard need another package",
            remedy="pip install 'saccade[zstd]'; or unpack the archive yourself and give the folder",
        ) from None
    opened: io.BufferedIOBase = zstd.open(packed)
    return opened


def tar_members(archive: tarfile.TarFile, packed: io.BufferedReader, notes: list[str]) -> Iterator[Member]:
    """Iterate over the members of a tar archive, which is read from the file `packed`.

    Args:
        archive: the archive.
        packed: its file.
        notes: list to which a note about the encoding of names is appended.

    Raises:
        ArchiveError: a member is a link, a device or an archive, or would be unpacked outside the folder.
        tarfile.ReadError: the archive ends before its end mark.
    """
    position = 0
    for entry in archive:
        previous, position = position, packed.tell()
        if entry.issparse() or not (entry.isreg() or entry.isdir()):
            is_link = entry.issym() or entry.islnk()
            raise member_error(entry.name, "is a link" if is_link else "is no regular file", _UNPACK)
        if not notes and any("\udc80" <= letter <= "\udcff" for letter in entry.name):
            notes.append("names in the archive are no UTF-8: name their encoding, such as --archive-encoding gbk")
        contents = None if entry.isdir() else partial(_open, archive, entry)
        yield Member(entry.name, _target(entry.name, is_file=contents is not None), contents, position - previous)
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


def duplicate_error(name: str) -> ArchiveError:
    """Return the error for an archive with two members of one name."""
    return member_error(name, "is in the archive twice", _UNPACK)


def _target(name: str, *, is_file: bool) -> PurePosixPath:
    # Zip archives from Windows may use backslashes as separators, which must not hide a path out of the folder.
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts[0] if path.parts else ""):
        raise member_error(name, "would be unpacked outside its folder")
    encoded = name.encode(errors="surrogateescape")
    if b"\0" in encoded or len(encoded) > _MAX_PATH_LENGTH or max(map(len, encoded.split(b"/"))) > _MAX_NAME_LENGTH:
        raise member_error(name[:100], "has a name that no file can have")
    if is_file and name.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES)):
        raise member_error(name, "is an archive", "unpack both archives yourself and give the folder")
    return path
