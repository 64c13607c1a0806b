"""Scan of images that are decoded when they are needed: each file is read once, and the results are kept in parts.

A part is an entry of the cache with the results for some thousand files. A scan that was killed goes on after its last
part, and a scan of data that has changed reads only the files whose size or time is new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from saccade.data.cache import disk_cache
from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import DECODER_VERSION, ImageHeader
from saccade.data.decoding.decode_files import decode_files
from saccade.data.decoding.fit import content_boxes
from saccade.data.decoding.image_files import DecodedChunk, Remark
from saccade.data.decoding.lazy_images import PickedImages
from saccade.data.sources.labeled_files import FoundImage
from saccade.progress import counting
from saccade.typed_json import from_json, to_json

_KIND = "parts"
_FILES, _THUMBNAILS = "files.json", "thumbnails.npy"
# Files of a part: a killed scan reads at most this number of files again.
_PART = 2048
_VERSION = 1


class FileResult(NamedTuple):
    """Result of reading a file.

    Attributes:
        path: path as in the listing.
        size: size as in the listing.
        changed: time of the last change as in the listing.
        content: content hash, as in `DecodedChunk`.
        header: header, as in `DecodedChunk`.
        reason: reason why the image is unreadable; None for a readable image.
        remark: remark, as in `DecodedChunk`.
    """

    path: str
    size: int
    changed: int
    content: str
    header: ImageHeader
    reason: str | None
    remark: Remark | None


@dataclass(frozen=True)
class _Files:
    """Contents of the file of results in a part."""

    files: tuple[FileResult, ...]


@dataclass(frozen=True)
class ScannedFiles:
    """Results of reading all files of a listing.

    Attributes:
        results: result of each file, in the order of the listing.
        thumbnails: thumbnails of the files of each part, uint8 [files, side, side, 3]; None for a scan without them.
        places: number of the part of each file, and its row there, int64 [n, 2].
    """

    results: Sequence[FileResult]
    thumbnails: Sequence[NDArray[np.uint8]] | None
    places: NDArray[np.int64]

    def write_thumbnails(self, path: Path) -> None:
        """Write the thumbnails of all files, in the order of the listing, into an array file."""
        parts = self.thumbnails or ()
        shape = (len(self.results), *parts[0].shape[1:])
        with disk_cache.array_stream(path, "|u1", shape) as stream:
            for start in range(0, len(self.places), _PART):
                chunk = self.places[start : start + _PART]
                written = np.empty((len(chunk), *shape[1:]), np.uint8)
                for number in np.unique(chunk[:, 0]).tolist():
                    of_part = chunk[:, 0] == number
                    written[of_part] = parts[number][chunk[of_part, 1]]
                stream.write(written.data)


class ScanParts:
    """Parts of the scan of a source.

    Args:
        source: place of the files.
        name: name of the data, for listings of the cache.
        preprocessing: preprocessing of the images.
        with_thumbnails: whether the parts have thumbnails for the search for near-duplicates.
    """

    def __init__(self, source: str, name: str, preprocessing: Preprocessing, *, with_thumbnails: bool) -> None:
        identity = json.dumps([source, asdict(preprocessing), DECODER_VERSION, _VERSION, with_thumbnails])
        self._prefix = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:32]
        self._name, self._preprocessing, self._with_thumbnails = name, preprocessing, with_thumbnails
        self._files: list[tuple[FileResult, ...]] = []
        self._thumbnails: list[NDArray[np.uint8]] = []
        for entry in disk_cache.find_entries(_KIND, self._prefix):
            try:
                files = from_json(_Files, (entry / _FILES).read_text(encoding="utf-8")).files
                thumbnails = disk_cache.mapped_array(entry / _THUMBNAILS) if with_thumbnails else None
            except (OSError, ValueError):
                disk_cache.remove_entry(entry)
                continue
            disk_cache.find_entry(_KIND, entry.name)  # records the use of the entry
            self._take(files, thumbnails)

    def scan(self, images: Sequence[FoundImage], sources: Sequence[bytes | str], *, progress: bool) -> ScannedFiles:
        """Read the files of a listing that no part has, and return the results of all files.

        Args:
            images: files of the listing.
            sources: path or contents of each file.
            progress: whether to show progress on standard error.
        """
        known = self._places()
        missing = [
            position for position, found in enumerate(images) if (found.path, found.size, found.changed) not in known
        ]
        if missing:
            self._read(images, missing, sources, progress=progress)
            known = self._places()
        places = [known[found.path, found.size, found.changed] for found in images]
        results = [self._files[part][row] for part, row in places]
        thumbnails = self._thumbnails if self._with_thumbnails else None
        return ScannedFiles(results, thumbnails, np.array(places, np.int64).reshape(-1, 2))

    def _places(self) -> dict[tuple[str, int, int], tuple[int, int]]:
        return {
            (result.path, result.size, result.changed): (part, row)
            for part, files in enumerate(self._files)
            for row, result in enumerate(files)
        }

    def _read(
        self, images: Sequence[FoundImage], missing: Sequence[int], sources: Sequence[bytes | str], *, progress: bool
    ) -> None:
        finished: list[FileResult] = []
        thumbnails: list[NDArray[np.uint8]] = []
        positions = iter(missing)
        try:
            with (
                counting("reading", total=len(missing), unit="images", shown=progress) as bar,
                closing(decode_files(PickedImages(sources, missing), self._preprocessing)) as chunks,
            ):
                for chunk in chunks:
                    thumbnails += self._thumbnails_of(chunk)
                    finished += self._results(images, positions, chunk)
                    bar.update(len(chunk.hashes))
                    if len(finished) >= _PART:
                        self._keep(finished, thumbnails)
        finally:
            self._keep(finished, thumbnails)

    def _results(
        self, images: Sequence[FoundImage], positions: Iterator[int], chunk: DecodedChunk
    ) -> Iterator[FileResult]:
        columns = zip(chunk.hashes, chunk.headers, chunk.reasons, chunk.remarks, strict=True)
        for values, position in zip(columns, positions, strict=False):
            found = images[position]
            yield FileResult(found.path, found.size, found.changed, *values)

    def _thumbnails_of(self, chunk: DecodedChunk) -> list[NDArray[np.uint8]]:
        if not self._with_thumbnails or not len(chunk.hashes):
            return []
        from saccade.data.near_duplicates.near_duplicates import make_thumbnails

        sizes = np.array([(header.height, header.width) for header in chunk.headers], np.int32).reshape(-1, 2)
        readable = np.flatnonzero(np.array([reason is None for reason in chunk.reasons]))
        made = make_thumbnails(chunk.pixels, readable, content_boxes(sizes[readable], self._preprocessing))
        thumbnails = np.zeros((len(sizes), *made.shape[1:]), np.uint8)
        thumbnails[readable] = made
        return [thumbnails]

    def _keep(self, finished: list[FileResult], thumbnails: list[NDArray[np.uint8]]) -> None:
        """Keep finished results as a part, and empty both lists.

        A file that exists but could not be read has no hash, and may be readable later without a change: the next scan
        reads the file once more.
        """
        if not finished:
            return
        files, small = tuple(finished), np.concatenate(thumbnails) if thumbnails else None
        finished.clear()
        thumbnails.clear()
        kept = np.array([bool(result.content) for result in files])
        of_part = tuple(result for result in files if result.content)
        if of_part:
            with disk_cache.building() as built:
                text = to_json(_Files(of_part))
                (built / _FILES).write_text(text, encoding="utf-8")
                if small is not None:
                    with disk_cache.array_stream(
                        built / _THUMBNAILS, "|u1", (len(of_part), *small.shape[1:])
                    ) as stream:
                        stream.write(small[kept].data)
                key = f"{self._prefix}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
                entry = disk_cache.keep(built, _KIND, key, self._name)
            # The thumbnails are read from the file, so that those of many images need no memory of their own.
            self._take(of_part, None if small is None else disk_cache.mapped_array(entry / _THUMBNAILS))
        if not kept.all():
            unread = tuple(result for result in files if not result.content)
            self._take(unread, None if small is None else small[~kept])

    def _take(self, files: tuple[FileResult, ...], thumbnails: NDArray[np.uint8] | None) -> None:
        self._files.append(files)
        if thumbnails is not None:
            self._thumbnails.append(thumbnails)
