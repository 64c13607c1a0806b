"""Disk cache of downloaded, unpacked and decoded data.

The cache is the folder in `SACCADE_CACHE`, else `saccade` in the user's cache folder. An entry is a folder
`<kind>/<key>`. An entry is built in `building/` and then renamed, so that every visible entry is complete. Afterward
only the modification time of the entry's file `entry.json` changes: the time of the entry's last use. When the total
size of all entries exceeds `SACCADE_CACHE_LIMIT` ("20GB"), the least recently used entries are removed.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from saccade.errors import DataError
from saccade.typed_json import from_json, to_json

DEFAULT_LIMIT = 20_000_000_000
"""Size limit of the cache, in bytes, where `SACCADE_CACHE_LIMIT` is not set."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_LABEL = "entry.json"
_BUILDING = "building"
_HAS_LOCKS = find_spec("fcntl") is not None  # not on Windows: entries and folders are not locked there
# A locked folder is in use, and a new folder is locked within milliseconds. Without locks only the age decides.
_ABANDONED_AFTER = 60.0 if _HAS_LOCKS else 86_400.0  # seconds


@dataclass(frozen=True)
class CacheEntry:
    """Entry of the cache.

    Attributes:
        kind: "archives" (unpacked), "decoded" (images as one array), "scans" (lists of files), "features" (of a frozen
            network) or "outputs" (of its lower layers).
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
        if error.errno != errno.ENOSPC:
            raise
        raise no_space(folder) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def no_space(folder: Path) -> DataError:
    """Return the error for too little free space on the disk of the cache."""
    return DataError(
        "there is too little space for the cache",
        found=f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free at {folder}",
        remedy="clear it with `saccade cache --clear`, or set SACCADE_CACHE to a folder on a larger disk",
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
        entry_label = from_json(EntryLabel, label.read_text())
        used = datetime.fromtimestamp(label.stat().st_mtime, UTC)
        return CacheEntry(label.parent.parent.name, entry_label.name, entry_label.bytes, used, label.parent)
    except (OSError, ValueError):
        return None  # damaged, or removed by another process


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
    for entry in reversed(entries):
        if total <= limit:
            return
        if entry.path != keep_path and _remove_unused(entry.path):
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
