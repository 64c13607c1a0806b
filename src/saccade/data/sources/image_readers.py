"""Readers of image files: one decodes all images into the cache, the other one decodes them when they are needed.

Both read each file once before, for its hash, its header, and the reason why it is unreadable.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from saccade.data.cache.decoded_cache import (
    THUMBNAILS,
    DecodedData,
    Index,
    StreamedIndex,
    array_file,
    keep_decoded,
    needs_near_duplicates,
    open_decoded,
)
from saccade.data.dataset import FULL_BITS, Preprocessing
from saccade.data.decoding.decode import ImageHeader
from saccade.data.decoding.decode_files import decode_files
from saccade.data.decoding.decode_messages import Place
from saccade.data.decoding.decode_stream import DecodeStream
from saccade.data.decoding.image_files import Remark
from saccade.data.sources.labeled_files import Listing
from saccade.data.sources.scan_cache import Scan
from saccade.data.sources.scan_parts import ScanParts
from saccade.progress import counting


@dataclass(frozen=True)
class Reading:
    """Results of reading the files of a listing, in the order of the listing.

    Attributes:
        hashes: content hashes, as in `DecodedChunk`.
        headers: headers, as in `DecodedChunk`.
        reasons: reasons, as in `DecodedChunk`.
        remarks: remarks on few of the images.
    """

    hashes: list[str]
    headers: list[ImageHeader]
    reasons: list[str | None]
    remarks: list[Remark]

    @property
    def used_bits(self) -> int:
        """Number of bits that the 16-bit gray samples use; 16 without such samples."""
        return max((remark.used_bits for remark in self.remarks), default=0) or FULL_BITS


class ImageReader(Protocol):
    """Reader of the image files of a listing."""

    def open(self, scan: Scan, preprocessing: Preprocessing) -> DecodedData | None:
        """Return the data of a scan that an earlier process has read, or None where the cache does not hold it."""

    def read(self, built: Path, preprocessing: Preprocessing, *, progress: bool) -> Reading:
        """Read all files, and write what `keep` needs into a folder from `disk_cache.building`."""

    def keep(self, built: Path, index: Index, preprocessing: Preprocessing, *, progress: bool) -> DecodedData:
        """Keep the index of the images in the cache, with what `read` wrote, and return the data.

        Raises:
            DataError: there are too few different images for a test split.
        """


@dataclass(frozen=True)
class CacheReader:
    """Reader that decodes all images into one array of the cache.

    Attributes:
        sources: path or contents of each image.
        name: name of the data, for listings of the cache.
    """

    sources: Sequence[bytes | str]
    name: str

    def open(self, scan: Scan, preprocessing: Preprocessing) -> DecodedData | None:
        """Return decoded data from the cache, as in `ImageReader`."""
        return open_decoded(scan.fingerprint, preprocessing)

    def read(self, built: Path, preprocessing: Preprocessing, *, progress: bool) -> Reading:
        """Decode all images into the array file of a folder, as in `ImageReader`."""
        reading = Reading([], [], [], [])
        with array_file(built, len(self.sources), preprocessing) as array:
            array_path = os.fspath(array.name)
        place = Place(array_path, Path(array_path).stat().st_size)
        os.truncate(array_path, place.offset + len(self.sources) * preprocessing.height * preprocessing.width * 3)
        with (
            counting("decoding", total=len(self.sources), unit="images", shown=progress) as bar,
            closing(decode_files(self.sources, preprocessing, place=place)) as chunks,
        ):
            for chunk in chunks:
                reading.hashes.extend(chunk.hashes)
                reading.headers.extend(chunk.headers)
                reading.reasons.extend(chunk.reasons)
                reading.remarks.extend(remark for remark in chunk.remarks if remark is not None)
                bar.update(len(chunk.hashes))
        return reading

    def keep(self, built: Path, index: Index, preprocessing: Preprocessing, *, progress: bool) -> DecodedData:
        """Keep the array with its index, as in `ImageReader`."""
        return keep_decoded(built, index, preprocessing, self.name, progress=progress)


@dataclass(frozen=True)
class StreamReader:
    """Reader of images that are decoded when they are needed; the cache keeps their index.

    Attributes:
        listing: files of the images.
        sources: path or contents of each image.
        place: place of the files.
        signature: text that changes with the files and with how they are read.
        name: name of the data, for listings of the cache.
        resources: what is held while the images may be read.
    """

    listing: Listing
    sources: Sequence[bytes | str]
    place: str
    signature: str
    name: str
    resources: ExitStack

    def open(self, scan: Scan, preprocessing: Preprocessing) -> DecodedData | None:  # noqa: ARG002 - of the protocol
        """Return data whose index the cache holds, as in `ImageReader`."""
        index = self._index(preprocessing).open()
        return None if index is None else self._data(index, preprocessing)

    def read(self, built: Path, preprocessing: Preprocessing, *, progress: bool) -> Reading:
        """Read the files that are new or have changed, and write the thumbnails of all, as in `ImageReader`."""
        with_thumbnails = needs_near_duplicates(image.split for image in self.listing.images)
        parts = ScanParts(self.place, self.name, preprocessing, with_thumbnails=with_thumbnails)
        scanned = parts.scan(self.listing.images, self.sources, progress=progress)
        if with_thumbnails:
            scanned.write_thumbnails(built / THUMBNAILS)
        return Reading(
            [result.content for result in scanned.results],
            [result.header for result in scanned.results],
            [result.reason for result in scanned.results],
            [result.remark for result in scanned.results if result.remark is not None],
        )

    def keep(self, built: Path, index: Index, preprocessing: Preprocessing, *, progress: bool) -> DecodedData:
        """Keep the index, as in `ImageReader`."""
        kept = self._index(preprocessing).keep(built, index, self.name, progress=progress)
        return self._data(kept, preprocessing)

    def _index(self, preprocessing: Preprocessing) -> StreamedIndex:
        return StreamedIndex(self.signature, preprocessing)

    def _data(self, index: Index, preprocessing: Preprocessing) -> DecodedData:
        hashes = [""] * len(self.sources)
        for row, content in zip(index.rows, index.hashes, strict=True):
            hashes[row] = content
        return DecodedData(DecodeStream(self.sources, hashes, preprocessing, self.resources), index, preprocessing)
