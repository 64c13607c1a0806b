"""The members of archives, one at a time, and which of them may be unpacked."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, BinaryIO

from saccade.errors import ArchiveError


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive.

    Attributes:
        name: its path in the archive.
        stream: a file's contents; None for a folder.
        packed: how many bytes of the archive were read for the members up to this one since the one before.
    """

    name: str
    stream: IO[bytes] | None
    packed: int


def zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    """The members of a zip archive.

    Raises:
        ArchiveError: at a member that is encrypted, a link or a device.
    """
    for entry in archive.infolist():
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.flag_bits & 1:
            raise _refused(entry.filename, "is encrypted", "unpack the archive yourself and give the folder")
        if entry.is_dir():
            yield Member(entry.filename, None, 0)
        elif kind in (0, stat.S_IFREG):
            yield Member(entry.filename, archive.open(entry), entry.compress_size)
        else:
            raise _refused(entry.filename, "is a link" if kind == stat.S_IFLNK else "is no regular file")


def tar_members(archive: tarfile.TarFile, packed: BinaryIO) -> Iterator[Member]:
    """The members of a tar archive that is being read from the file `packed`.

    Raises:
        ArchiveError: at a member that is a link or a device.
    """
    position = 0
    for entry in archive:
        before, position = position, packed.tell()
        if entry.isdir():
            yield Member(entry.name, None, position - before)
        elif entry.isreg() and not entry.issparse():
            stream = archive.extractfile(entry)
            yield Member(entry.name, stream, position - before)
        else:
            raise _refused(entry.name, "is a link" if entry.issym() or entry.islnk() else "is no regular file")


def check_target(name: str) -> PurePosixPath:
    """Where a member goes, relative to the folder into which the archive is unpacked.

    Raises:
        ArchiveError: if that is outside the folder.
    """
    # Zip archives made on Windows may separate folders by backslashes, which must not hide a way out.
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts[0] if path.parts else ""):
        raise _refused(name, "would be unpacked outside its folder")
    if "\0" in name or len(name.encode(errors="surrogateescape")) > 4000 or any(len(p) > 255 for p in path.parts):
        raise _refused(name[:100], "has a name that no file can have")
    return path


def _refused(name: str, reason: str, remedy: str = "use only archives whose origin you trust") -> ArchiveError:
    return ArchiveError(f"The archive's member {name!r} {reason}.", expected="plain files and folders", remedy=remedy)
