"""The cache: what was downloaded, unpacked or decoded once, so that it need not be done again.

It lies where `SACCADE_CACHE` says, else in the user's cache folder. An entry is a folder `<kind>/<key>`, complete from
the moment that it can be seen: it is built in `building/` and renamed. Nothing in an entry changes afterward but the
time of its file `entry.json`, which is when the entry was last used. Once all entries together are larger than
`SACCADE_CACHE_LIMIT` ("20GB"), those unused for longest are removed.
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
from pathlib import Path

from saccade.errors import DataError
from saccade.typed_json import from_json, to_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

DEFAULT_LIMIT = 20_000_000_000
"""Bytes."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_LABEL = "entry.json"
_BUILDING = "building"
_SECONDS_TO_LOCK = 60.0  # far longer than lies between making a folder and locking it


@dataclass(frozen=True)
class CacheEntry:
    """Something kept in the cache.

    Attributes:
        kind: "archives" (unpacked), "decoded" (images as one array) or "scans" (what a folder held).
        name: the data that it belongs to, for the user.
        bytes: what it takes on the disk.
        last_used: when it was last looked up, in UTC.
        path: its folder.
    """

    kind: str
    name: str
    bytes: int
    last_used: datetime
    path: Path


@dataclass(frozen=True)
class EntryLabel:
    """The file `entry.json` of an entry: the entry's name for the user, and its size in bytes."""

    name: str
    bytes: int


def cache_folder() -> Path:
    """Where the cache lies: `SACCADE_CACHE`, else the user's cache folder. It may not exist yet."""
    chosen = os.environ.get("SACCADE_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("saccade"))


def cache_limit() -> int:
    """How many bytes the cache may take: `SACCADE_CACHE_LIMIT`, such as "500MB" or "20GB", else 20 GB.

    Raises:
        DataError: if the variable holds no such size.
    """
    text = os.environ.get("SACCADE_CACHE_LIMIT", "").strip()
    if not text:
        return DEFAULT_LIMIT
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([KMGT]?)B?", text.upper())
    if match is None:
        raise DataError(
            "the size limit of the cache can't be understood",
            expected="a number of bytes, KB, MB, GB or TB in SACCADE_CACHE_LIMIT, such as 20GB",
            found=repr(text),
        )
    return int(float(match[1]) * _UNITS[match[2]])


def find_entry(kind: str, key: str) -> Path | None:
    """The folder of an entry, or None where there is none; finding it counts as using it."""
    path = cache_folder() / kind / key
    if not (path / _LABEL).is_file():
        return None
    with suppress(OSError):  # a cache that may only be read is of use as well
        os.utime(path / _LABEL)
    return path


def find_entries(kind: str, prefix: str) -> list[Path]:
    """The folders of all entries whose key begins so, the one last used first."""
    found = [path.parent for path in (cache_folder() / kind).glob(f"{prefix}*/{_LABEL}")]
    return sorted(found, key=_last_used, reverse=True)


@contextmanager
def building() -> Iterator[Path]:
    """A new folder in which an entry is built; whatever is left of it at the end is removed.

    Raises:
        DataError: if the cache can't be written, or its size limit can't be understood.
    """
    cache_limit()  # one that can't be understood is refused before any work
    place = cache_folder() / _BUILDING
    try:
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=place))
    except OSError as error:
        raise DataError(
            "the cache can't be written",
            found=f"{place}: {error.strerror}",
            remedy="set SACCADE_CACHE to a folder in which you may write",
        ) from None
    try:
        with _locked(folder):
            _remove_abandoned(place)
            (folder / "entry").mkdir()
            yield folder / "entry"
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise no_space(folder) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def no_space(folder: Path) -> DataError:
    """The error that there is too little room on the cache's disk."""
    return DataError(
        "there is too little space for the cache",
        found=f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free at {folder}",
        remedy="clear it with `saccade cache --clear`, or set SACCADE_CACHE to a folder on a larger disk",
    )


def keep(built: Path, kind: str, key: str, name: str) -> Path:
    """Makes what was built an entry, then removes old entries until the cache keeps to its limit.

    Where another process was faster, its entry is taken.

    Args:
        built: a folder from `building`.
        kind: see `CacheEntry`.
        key: a file name that stands for exactly these contents.
        name: shown to the user.

    Returns:
        The entry's folder.
    """
    size = sum(_bytes_on_disk(path) for path in built.rglob("*"))
    (built / _LABEL).write_text(to_json(EntryLabel(name, size)))
    target = cache_folder() / kind / key
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        built.rename(target)
    except OSError:
        if not (target / _LABEL).is_file():
            remove_entry(target)  # a damaged one
            built.rename(target)
    _shrink(target)
    return target


def remove_entry(path: Path) -> None:
    """Removes an entry's folder: out of sight first, so that nobody finds half of it."""
    with building() as place, suppress(FileNotFoundError):
        path.rename(place / "removed")


def cache_entries() -> list[CacheEntry]:
    """All entries, the one used last first."""
    labels = cache_folder().glob(f"*/*/{_LABEL}")
    entries = [entry for entry in map(_entry, labels) if entry is not None]
    return sorted(entries, key=lambda entry: entry.last_used, reverse=True)


def clear_cache(name: str | None = None) -> list[CacheEntry]:
    """Removes all entries, or those of one name or kind, and returns them. Entries just being read stay.

    Raises:
        DataError: if there is none of that name.
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
    """Keeps an entry from being removed, by whatever process, as long as it is being read.

    An array that is memory-mapped needs no such care: it stays readable when its file is removed.
    """
    with _locked(path, shared=True):
        yield


def _entry(label: Path) -> CacheEntry | None:
    try:
        entry_label = from_json(EntryLabel, label.read_text())
        used = datetime.fromtimestamp(label.stat().st_mtime, UTC)
        return CacheEntry(label.parent.parent.name, entry_label.name, entry_label.bytes, used, label.parent)
    except (OSError, ValueError):
        return None  # removed by another process meanwhile, or damaged


def _last_used(path: Path) -> float:
    try:
        return (path / _LABEL).stat().st_mtime
    except OSError:
        return 0.0  # removed by another process meanwhile


def _bytes_on_disk(path: Path) -> int:
    return path.lstat().st_blocks * 512


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


def _remove_abandoned(place: Path) -> None:
    """Removes what processes left behind that were ended while they built: nobody holds its lock any more."""
    if not fcntl:
        return
    for folder in place.iterdir():
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime < _SECONDS_TO_LOCK:
                continue
            with _locked(folder, wait=False):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    if not fcntl:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
