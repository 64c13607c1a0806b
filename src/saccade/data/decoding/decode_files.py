"""Decodes any number of image files in bounded memory, several at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import ImageHeader
from saccade.data.decoding.decode_pool import WorkerPool
from saccade.data.decoding.image_files import DecodedChunk, decode_chunk
from saccade.machine import usable_cores

# Below both, starting more than one worker (0.2 s each) costs more than it saves.
_FEW_FILES = 500
_FEW_BYTES = 16_000_000

_MOST_WORKERS = 16
_MOST_FILES_IN_CHUNK = 250  # one step of a network that is given images of 32x32
_MOST_BYTES_IN_CHUNK = 16_000_000
_MOST_BYTES_AHEAD = 64_000_000


def decode_files(
    paths: Sequence[str | Path], preprocessing: Preprocessing, *, chunk: int | None = None
) -> Generator[DecodedChunk]:
    """Decodes files, in their order, a chunk at a time; a file that can't be read is refused with a reason.

    Worker processes start at once, one for a few small files, and decode ahead of the caller as far as 64 MB of pixels,
    or two chunks for each worker. No image is decoded in this process: one that breaks the decoder, or takes more
    time or memory than `limits` allows, costs itself only. Closing the iterator ends the workers.

    Args:
        paths: the files; nothing but their contents tells whether they are images.
        preprocessing: the size to which every image is brought.
        chunk: how many files in a chunk at most; chosen by the preprocessing's size where it is None.

    Returns:
        An iterator over chunks, every file in exactly one of them. It raises `SaccadeError` if the worker processes
        can't be started.
    """
    names = [os.fspath(path) for path in paths]
    workers = _workers_for(names)
    size = chunk or _chunk_size(len(names), preprocessing, workers)
    chunks = [names[start : start + size] for start in range(0, len(names), size)]
    ahead = max(2 * workers, _MOST_BYTES_AHEAD // (size * preprocessing.height * preprocessing.width * 3))
    decoding = _decode_in_workers(chunks, preprocessing, workers, ahead)
    next(decoding)
    return decoding


def read_headers(paths: Sequence[str | Path]) -> list[ImageHeader]:
    """What the headers of files say, in a process of its own; those that can't be read are left out.

    Raises:
        SaccadeError: if the worker process can't be started.
    """
    if not paths:
        return []
    with WorkerPool(1, Preprocessing(1, 1)) as pool:
        return pool.read_headers([os.fspath(path) for path in paths])


def _workers_for(names: Sequence[str]) -> int:
    """How many workers are worth their start."""
    if len(names) < _FEW_FILES and sum(map(_file_bytes, names)) < _FEW_BYTES:
        return 1
    return max(1, min(usable_cores(), _MOST_WORKERS, len(names)))


def _file_bytes(name: str) -> int:
    try:
        return os.stat(name).st_size  # noqa: PTH116 - many thousand names, and no need of Path objects
    except (OSError, ValueError):
        return 0


def _chunk_size(files: int, preprocessing: Preprocessing, workers: int) -> int:
    fitting = _MOST_BYTES_IN_CHUNK // (preprocessing.height * preprocessing.width * 3)
    fair_share = -(-files // (4 * workers))
    return max(1, min(fitting, fair_share, _MOST_FILES_IN_CHUNK))


def _decode_in_workers(
    chunks: Sequence[Sequence[str]], preprocessing: Preprocessing, workers: int, ahead: int
) -> Generator[DecodedChunk]:
    waiting = iter(chunks)
    running: deque[Future[list[DecodedChunk]]] = deque()
    # The pool is left first, which ends the workers; the threads, which may be waiting for them, end after that.
    with ThreadPoolExecutor(workers) as threads, WorkerPool(workers, preprocessing) as pool:
        running.extend(threads.submit(pool.decode, part) for part in islice(waiting, ahead))
        # A chunk of no file, taken by `decode_files`: a generator does nothing before it is asked for the first time.
        yield decode_chunk([], preprocessing)
        while running:
            decoded = running.popleft().result()
            running.extend(threads.submit(pool.decode, part) for part in islice(waiting, 1))
            yield from decoded
