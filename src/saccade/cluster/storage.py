"""Files of the local machine, of a shared file system, or of object storage (s3://, gs://, az://), by PyArrow.

Credentials are those of the environment of each process, as the libraries of the storage find them: none is read, kept
or sent by Saccade.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saccade.errors import ClusterError, DataError
from saccade.sanitize import printable, without_secrets

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

_REMOTE = re.compile(r"(s3|gs|az)://(?P<bucket>[^/:]+)(?P<key>/.*)?", re.IGNORECASE)
NO_BUCKET = "there is no such bucket, or container"
"""Problem of `access_problem` that is the same on every node."""

_MISSING = "No such file or directory"
_DENIED = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "InvalidAccessKeyId", "403")


@dataclass(frozen=True)
class Place:
    """A path of a file system.

    Attributes:
        text: address as given, such as "s3://bucket/folder" or "photos".
        scheme: "" for files of this machine or of a shared file system; else "s3", "gs" or "az".
        path: path in the file system, without the scheme; absolute for files.
    """

    text: str
    scheme: str
    path: str

    @property
    def is_remote(self) -> bool:
        """Whether the place is in object storage."""
        return bool(self.scheme)

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.text.rstrip('/')}/{name}", self.scheme, f"{self.path.rstrip('/')}/{name}")

    def beside(self, suffix: str) -> Place:
        """Return the place beside this one, whose name has a suffix more."""
        return Place(f"{self.text.rstrip('/')}{suffix}", self.scheme, f"{self.path.rstrip('/')}{suffix}")


def is_remote(text: str) -> bool:
    """Return whether a text is an address of object storage."""
    return bool(_REMOTE.match(text))


def place_of(text: str) -> Place:
    """Return the place that a path or an address names.

    Raises:
        DataError: the address has no bucket, or holds a password.
    """
    if "://" not in text:
        return Place(text, "", os.path.abspath(text))  # noqa: PTH100 - keeps symbolic links
    if without_secrets(text) != text:
        raise DataError(
            "an address holds a user, a password or a signature", expected="s3://BUCKET/KEY", found=printable(text),
            remedy="give the credentials in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )  # fmt: skip
    found = _REMOTE.fullmatch(text)
    if found is None or "//" in (found["key"] or ""):  # PyArrow has no paths with an empty part
        raise DataError(
            "an address can't be read", expected="a path, or s3://BUCKET/KEY, gs://BUCKET/KEY or az://CONTAINER/KEY",
            found=printable(text),
        )  # fmt: skip
    return Place(text, found[1].lower(), f"{found['bucket']}{(found['key'] or '').rstrip('/')}")


def open_file_system(scheme: str) -> FileSystem:
    """Return the file system of PyArrow for a scheme, with the credentials that the environment gives.

    Raises:
        ClusterError: PyArrow was built without the file system.
    """
    import pyarrow.fs

    try:
        if scheme == "s3":
            return pyarrow.fs.S3FileSystem(
                endpoint_override=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
                region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
            )
        if scheme == "gs":
            return pyarrow.fs.GcsFileSystem()
        if scheme == "az":
            return pyarrow.fs.AzureFileSystem(os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", ""))
    except (AttributeError, ImportError, OSError, ValueError) as error:
        raise ClusterError(f"{scheme}:// can't be used", found=printable(str(error).splitlines()[0])) from None
    return pyarrow.fs.LocalFileSystem()


class EmptyPartError(OSError):
    """The key of an object has an empty part, as in "photos//1.jpg": PyArrow has no such paths."""


def reason_of(error: OSError) -> str:
    """Return why a file of object storage can't be read, in words that name no secret and are always the same."""
    if isinstance(error, EmptyPartError):
        return "its key has an empty part (//), which can't be read: rename it"
    text = str(error)
    if any(mark in text for mark in _DENIED):
        return "access denied: the credentials in the environment of this node are missing or wrong"
    if isinstance(error, FileNotFoundError) or "404" in text or "NO_SUCH" in text or "ot found" in text:
        return _MISSING
    if "NETWORK_CONNECTION" in text or "connect" in text:
        return "this node can't reach the storage, or finds no credentials"
    return "the storage rejected the request"


def storage_error(place: Place, error: OSError) -> DataError:
    """Return the error for a place that can't be read or written."""
    return DataError(
        f"'{printable(place.text)}' can't be used: {reason_of(error)}",
        remedy="check the address, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"
        if place.scheme == "s3"
        else None,
    )


def read_bytes(system: FileSystem, path: str, limit: int) -> bytes:
    """Return the contents of a file, at most `limit` + 1 bytes.

    Raises:
        OSError: the file can't be read.
    """
    if "//" in path:
        raise EmptyPartError(path)
    with system.open_input_stream(path) as stream:
        contents: bytes = stream.read(limit + 1)
        return contents


def access_problem(question: tuple[Sequence[tuple[str, str]], tuple[str, str] | None]) -> str | None:
    """Return why this process can't read objects, or write one; None if it can. A missing object is no problem.

    Args:
        question: scheme and path of each object; scheme and path of an object to write and remove, or None.
    """
    objects, written = question
    try:
        for scheme, path in objects:
            if "//" not in path:  # such an object is unreadable, with its reason
                open_file_system(scheme).get_file_info(path)
        if written is not None:
            system = open_file_system(written[0])
            with system.open_output_stream(written[1]) as stream:
                stream.write(b"saccade")
            system.delete_file(written[1])
    except OSError as error:
        reason = reason_of(error)
        return NO_BUCKET if reason == _MISSING else reason
    return None


def files_below(system: FileSystem, path: str) -> list[FileInfo]:
    """Return the files at any depth below a folder; none where there is no folder."""
    from pyarrow.fs import FileSelector, FileType

    found = system.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
    return [info for info in found if info.type == FileType.File]


def exists(system: FileSystem, path: str) -> bool:
    """Return whether there is a file or a folder."""
    from pyarrow.fs import FileType

    return bool(system.get_file_info(path).type != FileType.NotFound)


def is_file(system: FileSystem, path: str) -> bool:
    """Return whether there is a file."""
    from pyarrow.fs import FileType

    return bool(system.get_file_info(path).type == FileType.File)
