"""What is remembered of folders and archives, so that unchanged ones need not be read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from saccade.data.cache import disk_cache
from saccade.data.cache.decoded_cache import fingerprint_of
from saccade.data.decoding.image_files import content_hash, read_image
from saccade.data.sources.archives import archive_hash
from saccade.data.sources.image_folder import FoundImage, Listing
from saccade.errors import ImageError
from saccade.typed_json import from_json, to_json

_METADATA = "facts.json"
_FILES = "files.json"

_Record = TypeVar("_Record")


class FileMetadata(NamedTuple):
    """What is remembered of a file: its size in bytes, its time of change in nanoseconds, and its content hash."""

    size: int
    changed: int
    content: str


@dataclass(frozen=True)
class ArchiveMetadata:
    """What is remembered of an archive: the SHA-256 of its bytes."""

    sha256: str


@dataclass(frozen=True)
class Scan:
    """What reading all images of a folder or an archive once has shown.

    Attributes:
        fingerprint: of the contents.
        default_size: the height and width to which the images are brought where none is asked for.
        notes: what was left out.
    """

    fingerprint: str
    default_size: tuple[int, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownFiles:
    """What is remembered of the files of a folder or an archive, by their paths."""

    files: Mapping[str, FileMetadata]


def recall(source: str, signature: str) -> Scan | None:
    """What is known of a source, if it is unchanged: if its signature is the same."""
    entry = disk_cache.find_entry("scans", _key(source, signature))
    return _read(entry / _METADATA, Scan) if entry else None


def remember(source: str, signature: str, scan: Scan, files: Mapping[str, FileMetadata], name: str) -> None:
    """Remembers what is known of a source, instead of what was known before.

    Args:
        source: what the data came from, such as "folder:" and a path.
        signature: what changes when the source does.
        scan: what is known.
        files: what is known of each file, by its path.
        name: shown to the user.
    """
    outdated = disk_cache.find_entries("scans", _key(source, ""))
    _keep(_key(source, signature), {_METADATA: scan, _FILES: KnownFiles(files)}, name)
    for entry in outdated:
        if entry.name != _key(source, signature):
            disk_cache.remove_entry(entry)


def recall_touched(source: str, listing: Listing, name: str) -> Scan | None:
    """What is known of a folder in which files were touched, but nothing was changed; else None.

    Only the files whose size or time differs from what is remembered are read.
    """
    entries = disk_cache.find_entries("scans", _key(source, ""))
    if not entries:
        return None
    scan, known = _read(entries[0] / _METADATA, Scan), _read(entries[0] / _FILES, KnownFiles)
    if scan is None or known is None or known.files.keys() != {found.path for found in listing.images}:
        return None
    hashes = [_hash(found, known.files[found.path], listing.root) for found in listing.images]
    images = [(p.path, p.split, p.label, content) for p, content in zip(listing.images, hashes, strict=True)]
    if fingerprint_of(listing.class_names, images) != scan.fingerprint:
        return None
    remember(source, listing.signature(), replace(scan, notes=listing.notes), described(listing, hashes), name)
    return scan


def described(listing: Listing, hashes: Sequence[str]) -> dict[str, FileMetadata]:
    """What is known of each file, by its path, as `remember` takes it."""
    return {p.path: FileMetadata(p.size, p.changed, content) for p, content in zip(listing.images, hashes, strict=True)}


def remembered_archive_hash(path: Path, *, progress: bool = False) -> str:
    """The SHA-256 of an archive, read only if its path, size or time of change is new.

    Raises:
        ArchiveError: if it can't be read.
    """
    status = path.stat()
    key = _key(f"archive:{path}", f"{status.st_size} {status.st_mtime_ns}")
    entry = disk_cache.find_entry("scans", key)
    known = _read(entry / _METADATA, ArchiveMetadata) if entry else None
    if known is not None:
        return known.sha256
    sha256 = archive_hash(path, progress=progress)
    _keep(key, {_METADATA: ArchiveMetadata(sha256)}, path.name)
    return sha256


def _hash(found: FoundImage, known: FileMetadata, root: Path) -> str:
    if (known.size, known.changed) == (found.size, found.changed):
        return known.content
    try:
        return content_hash(read_image(str(root / found.path)))
    except ImageError:
        return ""


def _keep(key: str, contents: Mapping[str, object], name: str) -> None:
    with disk_cache.building() as built:
        for file_name, value in contents.items():
            (built / file_name).write_text(to_json(value), encoding="utf-8")
        disk_cache.keep(built, "scans", key, name)


def _read(path: Path, kind: type[_Record]) -> _Record | None:
    """What a file of the cache holds; None where the file is gone, damaged or of another version."""
    try:
        return from_json(kind, path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _key(source: str, signature: str) -> str:
    """Two hashes, so that all that is remembered of one source can be found."""
    digests = [hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest() for text in (source, signature)]
    return f"{digests[0][:24]}-{digests[1][:24] if signature else ''}"
