"""Data from pictures in a folder or an archive: found, read and decoded, or all of it from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from saccade.data.cache import disk_cache
from saccade.data.cache.decoded_cache import (
    DecodedData,
    Index,
    array_file,
    fingerprint_of,
    keep_decoded,
    open_decoded,
)
from saccade.data.dataset import Dataset, PictureRule, RefusedPicture
from saccade.data.decoding.decode import PictureFacts
from saccade.data.decoding.decode_files import decode_files, probe_files
from saccade.data.image_size import default_rule
from saccade.data.progress import counting
from saccade.data.sources.archives import archive_stem, unpacked
from saccade.data.sources.image_folder import FoundPicture, Listing, find_pictures
from saccade.data.sources.scan_cache import Scan, described, recall, recall_touched, remember, remembered_archive_hash
from saccade.data.splits import hash_says_test
from saccade.errors import DataError
from saccade.sanitize import printable

_PROBED = 64


@dataclass(frozen=True)
class _Reading:
    """What became of each file of a listing, in its order."""

    hashes: list[str]
    facts: list[PictureFacts]
    reasons: list[str | None]


def load_folder(folder: Path, rule: PictureRule | None, *, progress: bool) -> Dataset:
    """The pictures of a folder as a dataset; the rule is chosen by their sizes where it is None.

    Raises:
        DataError: if the folder holds no usable classes of pictures.
    """
    listing = find_pictures(folder)
    source, signature = f"folder:{folder}", listing.signature()
    scan = recall(source, signature) or recall_touched(source, listing, folder.name)
    decoded = _open(scan, rule)
    if decoded is None:
        decoded, _ = _decode_and_remember(source, signature, listing, rule, name=folder.name, progress=progress)
    return decoded.dataset(name=folder.name, source=str(folder), notes=listing.notes)


def load_archive(path: Path, rule: PictureRule | None, *, progress: bool) -> Dataset:
    """The pictures of an archive as a dataset; the archive is unpacked only if they must be decoded.

    Raises:
        ArchiveError: if the archive can't be unpacked safely.
        DataError: if it holds no usable classes of pictures.
    """
    name, sha256 = archive_stem(path), remembered_archive_hash(path, progress=progress)
    scan = recall(f"contents:{sha256}", sha256)
    decoded = _open(scan, rule)
    if scan is None or decoded is None:
        with unpacked(path, sha256, progress=progress) as folder:
            listing = find_pictures(folder)
            decoded, scan = _decode_and_remember(
                f"contents:{sha256}", sha256, listing, rule, name=name, progress=progress
            )
    return decoded.dataset(name=name, source=str(path), notes=scan.notes)


def _open(scan: Scan | None, rule: PictureRule | None) -> DecodedData | None:
    return open_decoded(scan.fingerprint, rule or PictureRule(*scan.default_size)) if scan else None


def _decode_and_remember(
    source: str, signature: str, listing: Listing, rule: PictureRule | None, *, name: str, progress: bool
) -> tuple[DecodedData, Scan]:
    decoded, hashes = _decode(listing, rule, name, progress=progress)
    usual = default_rule(np.array(decoded.index.sizes, np.int32))
    scan = Scan(decoded.index.fingerprint, (usual.height, usual.width), listing.notes)
    # A file that is there but could not be read may be readable the next time, without having changed.
    if all(content or not found.size for found, content in zip(listing.pictures, hashes, strict=True)):
        with disk_cache.in_use(decoded.entry):
            remember(source, signature, scan, described(listing, hashes), name)
    return decoded, scan


def _decode(
    listing: Listing, rule: PictureRule | None, name: str, *, progress: bool
) -> tuple[DecodedData, Sequence[str]]:
    """Decodes all files at once to the size that a few of them suggest; again if the others prove that wrong."""
    chosen = rule or _likely_rule(listing)
    with disk_cache.building() as built:
        reading = _read_all(built, listing, chosen, progress=progress)
        index = _index(listing, reading)
        wanted = rule or default_rule(np.array(index.sizes, np.int32))
        if wanted == chosen:
            return keep_decoded(built, index, chosen, name, progress=progress), reading.hashes
    return _decode(listing, wanted, name, progress=progress)


def _likely_rule(listing: Listing) -> PictureRule:
    some = listing.pictures[:: -(-len(listing.pictures) // _PROBED)]
    sizes = [(facts.height, facts.width) for facts in probe_files([f"{listing.root}/{found.path}" for found in some])]
    return default_rule(np.array(sizes or [(0, 0)], np.int32))


def _read_all(built: Path, listing: Listing, rule: PictureRule, *, progress: bool) -> _Reading:
    paths = [f"{listing.root}/{found.path}" for found in listing.pictures]
    reading = _Reading([], [], [])
    with (
        array_file(built, len(paths), rule) as array,
        counting("decoding", total=len(paths), unit="pictures", shown=progress) as bar,
        closing(decode_files(paths, rule)) as chunks,
    ):
        for chunk in chunks:
            array.write(chunk.pixels.data)
            reading.hashes.extend(chunk.hashes)
            reading.facts.extend(chunk.facts)
            reading.reasons.extend(chunk.reasons)
            bar.update(len(chunk.hashes))
    return reading


def _index(listing: Listing, reading: _Reading) -> Index:
    rows = [row for row, reason in enumerate(reading.reasons) if reason is None]
    refused = _refused(listing, reading)
    found = [listing.pictures[row] for row in rows]
    facts = [reading.facts[row] for row in rows]
    _check_readable(listing, found, refused)
    return Index(
        class_names=listing.class_names,
        fingerprint=_fingerprint(listing, reading.hashes),
        rows=rows,
        splits=[picture.split for picture in found],
        labels=[picture.label for picture in found],
        names=[printable(picture.path) for picture in found],
        hashes=[reading.hashes[row] for row in rows],
        sizes=[(fact.height, fact.width) for fact in facts],
        modes=[fact.mode for fact in facts],
        formats=[fact.format for fact in facts],
        refused=refused,
    )


def _refused(listing: Listing, reading: _Reading) -> list[RefusedPicture]:
    """The refused pictures, each in the split in which it would have stood: a test report counts those it misses."""
    brings_test = any(found.split == "test" for found in listing.pictures)
    refused = []
    for found, content, reason in zip(listing.pictures, reading.hashes, reading.reasons, strict=True):
        if reason is not None:
            by_hash = not brings_test and found.split == "train" and hash_says_test(content)
            refused.append(RefusedPicture(printable(found.path), "test" if by_hash else found.split, reason))
    return refused


def _fingerprint(listing: Listing, hashes: Sequence[str]) -> str:
    pictures = zip(listing.pictures, hashes, strict=True)
    return fingerprint_of(listing.class_names, [(p.path, p.split, p.label, content) for p, content in pictures])


def _check_readable(listing: Listing, found: Sequence[FoundPicture], refused: Sequence[RefusedPicture]) -> None:
    """Every class must have a readable picture to train with, and every split one at all."""
    example = f"{refused[0].path}: {refused[0].reason}" if refused else None
    with_pictures = {picture.label for picture in found if picture.split == "train"}
    for label, name in enumerate(listing.class_names):
        if label not in with_pictures:
            raise DataError(f"no picture of the class {name!r} can be read", found=example)
    for split in sorted({picture.split for picture in listing.pictures} - {picture.split for picture in found}):
        raise DataError(f"no picture of the {split} split can be read", found=example)
