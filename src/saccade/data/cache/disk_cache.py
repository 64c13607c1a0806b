"""Disk cache of downloaded, unpacked and decoded data.

The cache is the folder in `SACCADE_CACHE`, else `saccade` in the user's cache folder. An entry is a folder
`<kind>/<key>`. An entry is built in `building/` and then renamed, so that every visible entry is complete. Afterward
only the modification time of the entry's file `entry.json` changes: the time of the entry's last use. When the total
size of all entries exceeds `SACCADE_CACHE_LIMIT` ("20GB"), the least recently used entries are removed, except those
whose arrays this process has mapped: the disk would keep their bytes until the end of the process. Large entries are
built only where `has_room` says so; what does not fit is computed again when it is needed.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from saccade.errors import DataError
from saccade.typed_json import from_json, to_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_LIMIT = 20_000_000_000
"""Size limit of the cache, in bytes, where `SACCADE_CACHE_LIMIT` is not set."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_LABEL = "entry.json"
_BUILDING = "building"
_HAS_LOCKS = find_spec("fcntl") is not None  # not on Windows: entries and folders are not locked there
# A locked folder is in use, and a new folder is locked within milliseconds. Without locks only the age decides.
_ABANDONED_AFTER = 60.0 if _HAS_LOCKS else 86_400.0  # seconds
_KNOWN_OF_FILES = frozenset({"scans", "parts", "indexes"})
_DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Number of mapped arrays of each entry in this process, and the bytes of the arrays.
_mapped: Counter[Path] = Counter()
_mapped_bytes: dict[Path, int] = {}


@dataclass(frozen=True)
class CacheEntry:
    """Entry of the cache.

    Attributes:
        kind: "archives" (unpacked), "decoded" (images as one array), "scans" (lists of files), "parts" and "indexes"
            (results of reading files that are decoded when they are needed), "features" (of a frozen network) or
            "outputs" (of its lower layers).
        name: name of the data, for the user.
        bytes: size on the disk, in bytes.
        last_used: time of the last lookup, in UTC.
        path: folder of the entry.
    """

    kind: str
    name: str
    bytes: int
    last_used: datetime
    path: Path


@dataclass(frozen=True)
class EntryLabel:
    """Contents of `entry.json`: the name of the data, for the user, and the size of the entry in bytes."""

    name: str
    bytes: int


def cache_folder() -> Path:
    """Return the folder of the cache: `SACCADE_CACHE`, else the user's cache folder. The folder may not exist yet."""
    chosen = os.environ.get("SACCADE_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("saccade"))


def cache_limit() -> int:
    """Return the size limit of the cache in bytes: `SACCADE_CACHE_LIMIT`, such as "500MB" or "20GB", else 20 GB.

    Raises:
        DataError: the variable holds no size.
    """
    text = os.environ.get("SACCADE_CACHE_LIMIT", "").strip()
    if not text:
        return DEFAULT_LIMIT
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([KMGT]?)B?", text.upper())
    if match is None:
        raise DataError(
            "the size limit of the cache is invalid",
            expected="a number of bytes, KB, MB, GB or TB in SACCADE_CACHE_LIMIT, such as 20GB",
            found=repr(text),
        )
    return int(float(match[1]) * _UNITS[match[2]])


def find_entry(kind: str, key: str) -> Path | None:
    """Return the folder of an entry, or None where there is no such entry, and record the use of the entry."""
    path = cache_folder() / kind / key
    if not (path / _LABEL).is_file():
        return None
    with suppress(OSError):  # a read-only cache is usable
        os.utime(path / _LABEL)
    return path


def find_entries(kind: str, prefix: str) -> list[Path]:
    """Return the folders of all entries whose key starts with `prefix`, the most recently used first."""
    folders = [path.parent for path in (cache_folder() / kind).glob(f"{prefix}*/{_LABEL}")]
    return sorted(folders, key=_last_used, reverse=True)


@contextmanager
def building() -> Iterator[Path]:
    """Create a folder in which an entry is built, and remove the folder's remains at the end.

    Raises:
        DataError: the cache can't be written, or the size limit is invalid.
    """
    cache_limit()  # reports an invalid limit before any work
    parent = cache_folder() / _BUILDING
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=parent))
    except OSError as error:
        raise DataError(
            "the cache can't be written",
            found=f"{parent}: {error.strerror}",
            remedy="set SACCADE_CACHE to a folder in which you may write",
        ) from None
    try:
        with _locked(folder):
            _remove_abandoned(parent)
            (folder / "entry").mkdir()
            yield folder / "entry"
    except OSError as error:
        if error.errno not in _DISK_IS_FULL:
            raise
        raise no_space(folder) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def no_space(folder: Path, instead: str = "") -> DataError:
    """Return the error for too little free space on the disk of the cache.

    Args:
        folder: folder on the disk.
        instead: another remedy than a larger disk, as a clause; empty for none.
    """
    return DataError(
        "there is too little space for the cache",
        found=f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free at {folder}",
        remedy="clear it with `saccade cache --clear`, or set SACCADE_CACHE to a folder on a larger disk"
        + (f", or {instead}" if instead else ""),
    )


def keep(built: Path, kind: str, key: str, name: str) -> Path:
    """Turn a built folder into an entry, and remove old entries until the cache is within its size limit.

    Where another process has already written the same entry, that entry is kept.

    Args:
        built: folder from `building`.
        kind: kind of the entry, as in `CacheEntry`.
        key: file name that identifies the contents.
        name: name of the data, for the user.

    Returns:
        The folder of the entry.
    """
    size = sum(_bytes_on_disk(path) for path in built.rglob("*"))
    (built / _LABEL).write_text(to_json(EntryLabel(name, size)))
    target = cache_folder() / kind / key
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        built.rename(target)
    except OSError:
        if not (target / _LABEL).is_file():
            remove_entry(target)  # a damaged entry
            built.rename(target)
    _shrink(target)
    return target


@contextmanager
def array_stream(path: Path, dtype: str, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """Open a new array file in a folder from `building`, whose bytes are then written in order.

    Not by `numpy.save`, whose error on a full disk has no number, and not by a mapped array: on a full disk the change
    of a mapped page ends the process.

    Args:
        path: path of the file.
        dtype: description of the values in NumPy's format, such as "|u1" or "<f4".
        shape: shape of the array.
    """
    from numpy.lib.format import write_array_header_1_0

    with path.open("wb") as stream:
        write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
        yield stream


def mapped_array(path: Path) -> NDArray[Any]:
    """Return the array in a file of an entry, memory-mapped; the entry is not removed while the array exists.

    Raises:
        OSError, ValueError: the file is missing or damaged.
    """
    import numpy as np

    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    _mapped[path.parent] += 1
    _mapped_bytes[path.parent] = array.nbytes
    weakref.finalize(array, _mapped.subtract, [path.parent])
    return array


def has_room(size: int) -> bool:
    """Return whether an entry of a size in bytes fits into the cache beside the entries that this process has mapped.

    Raises:
        DataError: the size limit of the cache is invalid.
    """
    return size <= room()


def room() -> int:
    """Return the number of bytes that the cache can hold beside the entries that this process has mapped, 0 or more.

    Raises:
        DataError: the size limit of the cache is invalid.
    """
    folder = cache_folder()
    in_use = [path for path, count in list(_mapped.items()) if count > 0 and path.is_relative_to(folder)]
    mapped = sum(_mapped_bytes[path] for path in in_use)
    return max(0, cache_limit() - mapped)


def remove_entry(path: Path) -> None:
    """Remove the folder of an entry, renamed first, so that no process finds an incomplete entry."""
    with building() as folder, suppress(FileNotFoundError):
        path.rename(folder / "removed")


def cache_entries() -> list[CacheEntry]:
    """Return all entries, the most recently used first."""
    labels = cache_folder().glob(f"*/*/{_LABEL}")
    entries = [entry for entry in map(_entry, labels) if entry is not None]
    return sorted(entries, key=lambda entry: entry.last_used, reverse=True)


def clear_cache(name: str | None = None) -> list[CacheEntry]:
    """Remove all entries, or those of one name or kind, except entries in use, and return the removed entries.

    Raises:
        DataError: there is no entry of that name.
    """
    entries = cache_entries()
    chosen = [entry for entry in entries if name in (None, entry.name, entry.kind)]
    if name is not None and not chosen:
        names = sorted({entry.name for entry in entries})
        raise DataError(
            f"the cache holds nothing called {name!r}", found=", ".join(names) if names else "an empty cache"
        )
    return [entry for entry in chosen if _remove_unused(entry.path)]


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Protect an entry from removal by any process while the entry is read.

    A memory-mapped array needs no protection: the array stays readable after the removal of its file.
    """
    with _locked(path, shared=True):
        yield


def _entry(label: Path) -> CacheEntry | None:
    try:
        status = label.stat()
        entry_label = _label_of(label, status.st_ino)
        used = datetime.fromtimestamp(status.st_mtime, UTC)
        return CacheEntry(label.parent.parent.name, entry_label.name, entry_label.bytes, used, label.parent)
    except (OSError, ValueError):
        return None  # damaged, or removed by another process


@cache
def _label_of(path: Path, inode: int) -> EntryLabel:  # noqa: ARG001 - another file at the path has another number
    """Return the contents of an entry's file `entry.json`, which is read once: its contents never change."""
    return from_json(EntryLabel, path.read_text())


def _last_used(path: Path) -> float:
    try:
        return (path / _LABEL).stat().st_mtime
    except OSError:
        return 0.0  # removed by another process


def _bytes_on_disk(path: Path) -> int:
    status = path.lstat()
    return status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size  # no blocks on Windows


def _shrink(keep_path: Path) -> None:
    limit = cache_limit()
    entries = cache_entries()
    total = sum(entry.bytes for entry in entries)
    # What is known of files is small, and costs the reading of all of them: it is removed last.
    for entry in sorted(entries, key=lambda entry: (entry.kind in _KNOWN_OF_FILES, entry.last_used)):
        if total <= limit:
            return
        if entry.path != keep_path and _mapped[entry.path] <= 0 and _remove_unused(entry.path):
            total -= entry.bytes


def _remove_unused(path: Path) -> bool:
    try:
        with _locked(path, wait=False):
            remove_entry(path)
    except OSError:
        return False
    return True


def _remove_abandoned(parent: Path) -> None:
    """Remove unlocked folders of processes that were killed while they built an entry."""
    for folder in parent.iterdir():
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime < _ABANDONED_AFTER:
                continue
            with _locked(folder, wait=False):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold a lock on a folder; without `fcntl` hold none.

    `fcntl.flock` and not `saccade.file_lock`, because readers of an entry share a lock.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is False.
    """
    if not _HAS_LOCKS:
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
