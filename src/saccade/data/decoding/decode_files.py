"""Decoding of any number of images, files or contents in memory, in parallel and in bounded memory."""

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
_SAMPLED_FILES = 32  # whose sizes stand for all, because a remote image is fetched for its size

_MAX_WORKERS = 16
_MAX_FILES_IN_CHUNK = 250  # one prediction step for images of 32x32 pixels
_MAX_BYTES_IN_CHUNK = 16_000_000
MAX_BYTES_AHEAD = 64_000_000
"""Bytes of pixels that are decoded ahead of their use."""


def decode_files(
    images: Sequence[str | Path | bytes],
    preprocessing: Preprocessing,
    *,
    chunk: int | None = None,
    place: Place | None = None,
) -> Generator[DecodedChunk]:
    """Decode images in their order, one chunk at a time; an unreadable image gets a reason.

    The worker processes start with the call: one for a few small files, else one for each processor. They decode up to
    64 MB of pixels, or two chunks for each worker, ahead of the caller. No image is decoded in this process: an image
    that crashes the decoder, or exceeds a limit of `resource_limits`, is the only unreadable one. Closing the iterator
    ends the workers.

    Args:
        images: paths of files, or contents of files; only the contents decide whether a file is an image. Of many
            images, each chunk is taken from the sequence when it is decoded, in a thread.
        preprocessing: size and conversion of every image.
        chunk: largest number of images in a chunk; by default chosen by the size of the images.
        place: place in a file of zeros where the worker processes write the pixels of all images. None: the chunks hold
            the pixels.

    Returns:
        Iterator over chunks; every image is in exactly one chunk. The iterator raises `SaccadeError` if the worker
        processes can't be started, and `OSError` if pixels can't be written to the file.
    """
    workers = _workers_for(images)
    size = chunk or chunk_size(-(-len(images) // (4 * workers)), preprocessing)
    in_image = preprocessing.height * preprocessing.width * 3
    chunks = [
        (slice(start, start + size), place and replace(place, offset=place.offset + start * in_image))
        for start in range(0, len(images), size)
    ]
    ahead = max(2 * workers, MAX_BYTES_AHEAD // (size * in_image))
    decoding = _decode_in_workers(images, chunks, preprocessing, workers, ahead)
    next(decoding)
    return decoding


def read_headers(images: Sequence[str | Path | bytes]) -> list[ImageHeader]:
    """Return the headers of the images whose header can be read, in a worker process.

    Raises:
        SaccadeError: the worker process can't be started.
    """
    if not images:
        return []
    with WorkerPool(1, Preprocessing(1, 1)) as pool:
        return pool.read_headers(_sources(images))


def _sources(images: Sequence[str | Path | bytes]) -> list[str | bytes]:
    return [image if isinstance(image, bytes) else os.fspath(image) for image in images]


def _workers_for(images: Sequence[str | Path | bytes]) -> int:
    """Return the number of workers that is worth the time to start them."""
    step = max(1, -(-len(images) // _SAMPLED_FILES))
    if len(images) < _FEW_FILES and step * sum(map(_bytes_of, images[::step])) < _FEW_BYTES:
        return 1
    return max_workers(len(images))


def max_workers(images: int) -> int:
    """Return the number of workers for many images: one for each processor, 16 at most."""
    return max(1, min(usable_cores(), _MAX_WORKERS, images))


def _bytes_of(image: str | Path | bytes) -> int:
    if isinstance(image, bytes):
        return len(image)
    try:
        return os.stat(image).st_size  # noqa: PTH116 - faster than Path objects for many thousand names
    except (OSError, ValueError):
        return 0


def chunk_size(balanced: int, preprocessing: Preprocessing) -> int:
    """Return the number of images of a request to a worker: `balanced`, but not more than fit into its memory."""
    fitting = _MAX_BYTES_IN_CHUNK // (preprocessing.height * preprocessing.width * 3)
    return max(1, min(fitting, balanced, _MAX_FILES_IN_CHUNK))


def _decode_in_workers(
    images: Sequence[str | Path | bytes],
    chunks: Sequence[tuple[slice, Place | None]],
    preprocessing: Preprocessing,
    workers: int,
    ahead: int,
) -> Generator[DecodedChunk]:
    waiting = iter(chunks)
    running: deque[Future[list[DecodedChunk]]] = deque()
    # The pool closes first and ends the workers; then the threads that wait for workers end.
    with ThreadPoolExecutor(workers) as threads, WorkerPool(workers, preprocessing) as pool:

        def decode(positions: slice, place: Place | None) -> list[DecodedChunk]:
            return pool.decode(_sources(images[positions]), place)

        running.extend(threads.submit(decode, *chunk) for chunk in islice(waiting, ahead))
        # An empty chunk, consumed by `decode_files`: a generator starts only at the first `next`.
        yield decode_chunk([], preprocessing)
        while running:
            decoded = running.popleft().result()
            running.extend(threads.submit(decode, *chunk) for chunk in islice(waiting, 1))
            yield from decoded
