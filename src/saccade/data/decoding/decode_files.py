"""Decoding of any number of image files, in parallel and in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import ImageHeader
from saccade.data.decoding.decode_messages import Place
from saccade.data.decoding.decode_pool import WorkerPool
from saccade.data.decoding.image_files import DecodedChunk, decode_chunk
from saccade.machine import usable_cores

# Below both limits one worker is faster than several, each of which takes 0.2 s to start.
_FEW_FILES = 500
_FEW_BYTES = 16_000_000

_MAX_WORKERS = 16
_MAX_FILES_IN_CHUNK = 250  # one prediction step for images of 32x32 pixels
_MAX_BYTES_IN_CHUNK = 16_000_000
_MAX_BYTES_AHEAD = 64_000_000


def decode_files(
    paths: Sequence[str | Path],
    preprocessing: Preprocessing,
    *,
    chunk: int | None = None,
    place: Place | None = None,
) -> Generator[DecodedChunk]:
    """Decode files in their order, one chunk at a time; an unreadable file gets a reason.

    The worker processes start with the call: one for a few small files, else one for each processor. They decode up to
    64 MB of pixels, or two chunks for each worker, ahead of the caller. No image is decoded in this process: an image
    that crashes the decoder, or exceeds a limit of `resource_limits`, is the only unreadable one. Closing the iterator
    ends the workers.

    Args:
        paths: paths of the files; only the contents of a file decide whether the file is an image.
        preprocessing: size and conversion of every image.
        chunk: largest number of files in a chunk; by default chosen by the size of the images.
        place: place in a file of zeros where the worker processes write the pixels of all files. None: the chunks hold
            the pixels.

    Returns:
        Iterator over chunks; every file is in exactly one chunk. The iterator raises `SaccadeError` if the worker
        processes can't be started, and `OSError` if pixels can't be written to the file.
    """
    names = [os.fspath(path) for path in paths]
    workers = _workers_for(names)
    size = chunk or _chunk_size(len(names), preprocessing, workers)
    in_image = preprocessing.height * preprocessing.width * 3
    chunks = [
        (names[start : start + size], place and replace(place, offset=place.offset + start * in_image))
        for start in range(0, len(names), size)
    ]
    ahead = max(2 * workers, _MAX_BYTES_AHEAD // (size * in_image))
    decoding = _decode_in_workers(chunks, preprocessing, workers, ahead)
    next(decoding)
    return decoding


def read_headers(paths: Sequence[str | Path]) -> list[ImageHeader]:
    """Return the headers of the files whose header can be read, in a worker process.

    Raises:
        SaccadeError: the worker process can't be started.
    """
    if not paths:
        return []
    with WorkerPool(1, Preprocessing(1, 1)) as pool:
        return pool.read_headers([os.fspath(path) for path in paths])


def _workers_for(names: Sequence[str]) -> int:
    """Return the number of workers that is worth the time to start them."""
    if len(names) < _FEW_FILES and sum(map(_file_bytes, names)) < _FEW_BYTES:
        return 1
    return max(1, min(usable_cores(), _MAX_WORKERS, len(names)))


def _file_bytes(name: str) -> int:
    try:
        return os.stat(name).st_size  # noqa: PTH116 - faster than Path objects for many thousand names
    except (OSError, ValueError):
        return 0


def _chunk_size(files: int, preprocessing: Preprocessing, workers: int) -> int:
    fitting = _MAX_BYTES_IN_CHUNK // (preprocessing.height * preprocessing.width * 3)
    balanced = -(-files // (4 * workers))
    return max(1, min(fitting, balanced, _MAX_FILES_IN_CHUNK))


def _decode_in_workers(
    chunks: Sequence[tuple[Sequence[str], Place | None]], preprocessing: Preprocessing, workers: int, ahead: int
) -> Generator[DecodedChunk]:
    waiting = iter(chunks)
    running: deque[Future[list[DecodedChunk]]] = deque()
    # The pool closes first and ends the workers; then the threads that wait for workers end.
    with ThreadPoolExecutor(workers) as threads, WorkerPool(workers, preprocessing) as pool:
        running.extend(threads.submit(pool.decode, *chunk) for chunk in islice(waiting, ahead))
        # An empty chunk, consumed by `decode_files`: a generator starts only at the first `next`.
        yield decode_chunk([], preprocessing)
        while running:
            decoded = running.popleft().result()
            running.extend(threads.submit(pool.decode, *chunk) for chunk in islice(waiting, 1))
            yield from decoded
