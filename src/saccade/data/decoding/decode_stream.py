"""Images that are decoded when they are needed, ahead of their use, in place of an array of all decoded images."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode_files import MAX_BYTES_AHEAD, chunk_size, max_workers
from saccade.data.decoding.decode_pool import WorkerPool
from saccade.data.decoding.lazy_images import LazyImages, images_at
from saccade.errors import DataError
from saccade.sanitize import printable


@dataclass(frozen=True)
class _Files:
    """Files by row, and their content hashes at the first reading."""

    images: Sequence[str | bytes]
    hashes: Sequence[str]

    def decode(self, pool: WorkerPool, rows: list[int]) -> NDArray[np.uint8]:
        """Return the images of rows; a file with another hash is an error."""
        decoded = pool.decode(images_at(self.images, rows))
        reasons = [reason for chunk in decoded for reason in chunk.reasons]
        hashes = [content for chunk in decoded for content in chunk.hashes]
        for row, content, reason in zip(rows, hashes, reasons, strict=True):
            if reason is not None or content != self.hashes[row]:
                raise _changed(self.images, row, reason)
        return decoded[0].pixels if len(decoded) == 1 else np.concatenate([chunk.pixels for chunk in decoded])


class DecodeStream:
    """Decoder of the images of a data set, by row; it implements `StreamedPixels`.

    The worker processes start with the first images and end with this object. They decode up to 64 MB of pixels, or one
    batch, ahead of the caller, so that the memory does not depend on the number of images. The hash of every file is
    compared with its hash of the first reading: a changed file is an error, never another image.

    Args:
        images: paths of files, or contents of files, one for each row.
        hashes: content hash of each image that may be read.
        preprocessing: size and conversion of every image.
        resources: what is released at the end, such as a lock on the folder of the files.
    """

    def __init__(
        self, images: Sequence[str | bytes], hashes: Sequence[str], preprocessing: Preprocessing, resources: ExitStack
    ) -> None:
        self._files, self._preprocessing = _Files(images, hashes), preprocessing
        self._workers = max_workers(len(images))
        self._start = threading.Lock()
        self._resources = resources
        self._running: tuple[ThreadPoolExecutor, WorkerPool] | None = None
        weakref.finalize(self, resources.close)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the array that would hold all decoded images: [rows, height, width, 3]."""
        return len(self._files.images), self._preprocessing.height, self._preprocessing.width, 3

    def read_ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.uint8]]:
        """Yield the images of each batch, given by its rows, as in `StreamedPixels`.

        Raises:
            DataError: a file has changed since it was listed.
            SaccadeError: the worker processes can't be started.
        """
        ahead = MAX_BYTES_AHEAD // (self._preprocessing.height * self._preprocessing.width * 3)
        running: deque[tuple[NDArray[np.int64], list[Future[NDArray[np.uint8]]]]] = deque()
        try:
            for batch in batches:
                running.append((batch, self._submit(batch)))
                while len(running) > 1 and sum(len(rows) for rows, _ in running) > ahead:
                    yield self._finished(*running.popleft())
            while running:
                yield self._finished(*running.popleft())
        finally:
            for _, futures in running:
                for future in futures:
                    future.cancel()

    def _submit(self, batch: NDArray[np.int64]) -> list[Future[NDArray[np.uint8]]]:
        threads, pool = self._started()
        size = chunk_size(-(-len(batch) // self._workers), self._preprocessing)
        return [
            # Not a method: a thread that held the last reference to this object would wait for itself at its end.
            threads.submit(self._files.decode, pool, batch[start : start + size].tolist())
            for start in range(0, len(batch), size)
        ]

    def _finished(self, batch: NDArray[np.int64], futures: list[Future[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
        pixels = np.empty((len(batch), *self.shape[1:]), np.uint8)
        done = 0
        for future in futures:
            chunk = future.result()
            pixels[done : done + len(chunk)] = chunk
            done += len(chunk)
        return pixels

    def _started(self) -> tuple[ThreadPoolExecutor, WorkerPool]:
        with self._start:
            if self._running is None:
                # The pool closes first and ends the workers; then the threads that wait for workers end.
                threads = self._resources.enter_context(ThreadPoolExecutor(self._workers))
                pool = self._resources.enter_context(WorkerPool(self._workers, self._preprocessing))
                self._running = threads, pool
            return self._running


def _changed(images: Sequence[str | bytes], row: int, reason: str | None) -> DataError:
    image = f"image {row}" if isinstance(images, LazyImages) else images[row]
    name = printable(image) if isinstance(image, str) else f"image {row}"
    return DataError(
        "an image has changed since the data was read",
        expected="files that stay as they are while they are in use",
        found=f"{name}: {reason or 'other contents'}",
        remedy="restore the file, or start once more: only changed files are read again",
    )
