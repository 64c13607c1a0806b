"""Images in object stores, such as `s3://bucket/cat.jpg` in a label file: listed once, and read when they are needed.

fsspec opens the store. Credentials come from the usual places of the store's own library, such as the environment
variables `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` or a role; Saccade neither reads nor prints them, and messages
of the library, which might, are not passed on.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from saccade.data.decoding.image_files import MAX_FILE_SIZE
from saccade.data.decoding.lazy_images import LazyImages
from saccade.data.sources.file_discovery import FoundFile
from saccade.errors import DataError
from saccade.sanitize import printable

# Not `http`, since a label file may come from anyone, nor `file`, which would lead out of the folder of the images.
_ADDRESS = re.compile(r"(s3|s3a|gs|gcs|az|abfs|memory)://(?P<place>[^/]*)/", re.IGNORECASE)
_PATTERN = re.compile(r"[*?\[]")
_INSTALL = "install the library of the store: pip install 'saccade[remote]' for s3://, gcsfs for gs://, adlfs for az://"


def is_remote(path: str) -> bool:
    """Return whether the path of an image is an address in an object store that Saccade reads."""
    return _ADDRESS.match(path) is not None


class RemoteFolders:
    """Listings of the folders of remote images, each made once."""

    def __init__(self) -> None:
        self._listed: dict[str, Mapping[str, Mapping[str, Any]]] = {}

    def find(self, address: str) -> FoundFile:
        """Return the file at an address, with the address as its path; of size 0 where there is none.

        Raises:
            DataError: the address holds a user or a password, the folder can't be listed, or fsspec or the library of
                the store is not installed.
        """
        store, path = _open(address)
        folder = address.rpartition("/")[0]
        if folder not in self._listed:
            try:
                found = store.ls(path.rpartition("/")[0], detail=True)
            except FileNotFoundError:
                found = []
            except Exception as error:  # of the libraries of stores, which share no class of errors
                raise _unreadable(folder, error) from None
            self._listed[folder] = {entry["name"].lstrip("/"): entry for entry in found if entry["type"] == "file"}
        entry = self._listed[folder].get(path.lstrip("/"))
        if entry is None or not entry["size"]:
            return FoundFile(address, 0, 0)
        return FoundFile(address, int(entry["size"]), _version(entry))


class ImagesByAddress(LazyImages):
    """Images by their path or address; the contents of remote images are fetched when they are asked for.

    Args:
        paths: paths and addresses.
        sizes: size of each file, in bytes.
    """

    def __init__(self, paths: Sequence[str], sizes: Sequence[int]) -> None:
        self._paths, self._sizes = paths, sizes

    def __len__(self) -> int:
        return len(self._paths)

    def at(self, positions: Sequence[int]) -> list[bytes | str]:
        """Return paths of files and contents of remote images; the address of a missing or too large image.

        Raises:
            DataError: the store can't be read.
        """
        images: list[bytes | str] = [self._paths[position] for position in positions]
        by_store: dict[str, list[int]] = defaultdict(list)
        for number, position in enumerate(positions):
            if is_remote(self._paths[position]) and 0 < self._sizes[position] <= MAX_FILE_SIZE:
                by_store[self._paths[position].partition("://")[0]].append(number)
        for numbers in by_store.values():
            for number, contents in zip(numbers, _fetched([str(images[number]) for number in numbers]), strict=True):
                if contents is not None:
                    images[number] = contents
        return images


def _fetched(addresses: Sequence[str]) -> list[bytes | None]:
    """Return the contents of files of one store, fetched at the same time; None for a missing file."""
    store, _ = _open(addresses[0])
    paths = [_open(address)[1] for address in addresses]
    try:
        plain = [path for path in paths if not _PATTERN.search(path)]
        found = store.cat(plain, on_error="return") if plain else {}
        for path in set(paths) - set(plain):  # fsspec would look for the files that such a path matches
            with suppress(FileNotFoundError):
                found[path] = store.cat_file(path)
    except Exception as error:  # as in `RemoteFolders.find`
        raise _unreadable(addresses[0], error) from None
    contents: list[bytes | None] = []
    for address, path in zip(addresses, paths, strict=True):
        value = found.get(path)
        if isinstance(value, Exception) and not isinstance(value, FileNotFoundError):
            raise _unreadable(address, value)
        contents.append(value if isinstance(value, bytes) else None)
    return contents


def _open(address: str) -> tuple[Any, str]:
    """Return the store of an address, of which fsspec keeps one, and the path there.

    Raises:
        DataError: the address holds a user or a password, or a library is not installed.
    """
    matched = _ADDRESS.match(address)
    if matched is None or "@" in matched["place"]:
        raise DataError(
            "the address of an image holds a user or a password",
            expected="s3://bucket/path, with the credentials in the environment",
            code="label-file",
        )
    try:
        import fsspec

        store, path = fsspec.core.url_to_fs(address)
    except ImportError:
        raise DataError(
            f"images at {address.partition('://')[0]}:// can't be read",
            found="fsspec or the library of the store is not installed",
            remedy=_INSTALL,
            code="label-file",
        ) from None
    except Exception as error:  # as in `RemoteFolders.find`
        raise _unreadable(address, error) from None
    return store, path


def _version(entry: Mapping[str, Any]) -> int:
    """Return a number that changes with the contents of a file, in place of its time: of the store's tag and time."""
    values = [str(entry.get(name, "")) for name in ("ETag", "etag", "LastModified", "mtime", "created", "generation")]
    return int.from_bytes(hashlib.sha256("\0".join(values).encode()).digest()[:7], "big")


def _unreadable(address: str, error: Exception) -> DataError:
    return DataError(
        f"{printable(address)} can't be read",
        found=f"{type(error).__name__} of the library of the store",
        remedy="check the address, the network and the credentials in the environment",
        code="label-file",
    )
