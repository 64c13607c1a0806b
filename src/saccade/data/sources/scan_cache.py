"""Cache of scans: the results of reading all images of a folder or an archive, valid while the files are unchanged."""

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
from saccade.data.sources.labeled_files import FoundImage, Listing
from saccade.errors import ImageError
from saccade.typed_json import from_json, to_json

_METADATA = "facts.json"
_FILES = "files.json"

_Record = TypeVar("_Record")


class FileMetadata(NamedTuple):
    """Metadata of a file: size in bytes, time of the last change in nanoseconds, and content hash."""

    size: int
    changed: int
    content: str


@dataclass(frozen=True)
class ArchiveMetadata:
    """Metadata of an archive: the SHA-256 of its bytes."""

    sha256: str


@dataclass(frozen=True)
class Scan:
    """Result of reading all images of a folder or an archive.

    Attributes:
        fingerprint: hash of the contents.
        default_size: height and width of the decoded images where the user gives no size.
        used_bits: number of bits that the 16-bit gray samples use; 16 without such images.
        notes: messages about files that were left out.
        strays: messages, among the notes, about files and folders beside the classes or the splits.
        layout: layout of the files in words.
    """

    fingerprint: str
    default_size: tuple[int, int]
    used_bits: int
    notes: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    layout: str = ""


@dataclass(frozen=True)
class KnownFiles:
    """Metadata of the files of a folder or an archive, by path."""

    files: Mapping[str, FileMetadata]


def find_scan(source: str, signature: str) -> Scan | None:
    """Return the scan of a source with this signature, or None where there is none."""
    entry = disk_cache.find_entry("scans", _key(source, signature))
    return _read(entry / _METADATA, Scan) if entry else None


def keep_scan(source: str, signature: str, scan: Scan, files: Mapping[str, FileMetadata], name: str) -> None:
    """Keep the scan of a source, and remove older scans of the source.

    Args:
        source: source of the data, such as "folder:" and a path.
        signature: hash that changes with the source.
        scan: scan of the source.
        files: metadata of each file, by path.
        name: name of the data, for the user.
    """
    outdated = disk_cache.find_entries("scans", _key(source, ""))
    _keep(_key(source, signature), {_METADATA: scan, _FILES: KnownFiles(files)}, name)
    for entry in outdated:
        if entry.name != _key(source, signature):
            disk_cache.remove_entry(entry)


def find_touched_scan(source: str, listing: Listing, name: str) -> Scan | None:
    """Return the scan of a folder whose files have new times but equal contents; None where contents changed.

    Only files with another size or time than in the cache are read.
    """
    entries = disk_cache.find_entries("scans", _key(source, ""))
    if not entries:
        return None
    scan, known = _read(entries[0] / _METADATA, Scan), _read(entries[0] / _FILES, KnownFiles)
    if scan is None or known is None or known.files.keys() != {found.path for found in listing.images}:
        return None
    hashes = [_hash(found, known.files[found.path], listing.root) for found in listing.images]
    if fingerprint_of_files(listing.class_names, list(zip(listing.images, hashes, strict=True))) != scan.fingerprint:
        return None
    scan = replace(scan, notes=listing.notes, strays=listing.strays, layout=listing.layout)
    keep_scan(source, listing.signature(), scan, file_metadata(listing, hashes), name)
    return scan


def fingerprint_of_files(class_names: Sequence[str], files: Sequence[tuple[FoundImage, str]]) -> str:
    """Return the fingerprint of files with their content hashes, as in `Dataset`. A group is part of the contents."""
    images = (
        (path, split, label, f"{content}\0{group}" if group else content)
        for (path, split, label, _, _, group), content in files
    )
    return fingerprint_of(class_names, images)


def file_metadata(listing: Listing, hashes: Sequence[str]) -> dict[str, FileMetadata]:
    """Return the metadata of each file, by path, for `keep_scan`."""
    return {p.path: FileMetadata(p.size, p.changed, content) for p, content in zip(listing.images, hashes, strict=True)}


def cached_archive_hash(path: Path, *, progress: bool = False) -> str:
    """Return the SHA-256 of an archive; the archive is read only if its path, size or time of change is new.

    Raises:
        ArchiveError: the archive can't be read.
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
    """Return the record in a file of the cache; None where the file is missing, damaged or of another version."""
    try:
        return from_json(kind, path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _key(source: str, signature: str) -> str:
    """Return the key of an entry: hashes of source and signature, so that all entries of a source share a prefix."""
    digests = [hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest() for text in (source, signature)]
    return f"{digests[0][:24]}-{digests[1][:24] if signature else ''}"
