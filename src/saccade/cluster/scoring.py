"""Decoding and ONNX Runtime in one actor of Ray: rows of a listing in, rows of results out.

An actor decodes in the worker processes of `saccade.data.decoding`, with their limits, as many as it has threads, and
runs the network on batches of one size, the last of which is padded. So the numbers depend on the batch size and the
number of threads, never on which actor got which images.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from saccade.cluster.storage import open_file_system, read_bytes, reason_of
from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode_pool import WorkerPool
from saccade.data.decoding.image_files import MAX_FILE_SIZE, DecodedChunk

if TYPE_CHECKING:
    import pyarrow

_CHUNK_BYTES = 4_000_000  # of pixels, decoded by one worker at a time
_CHUNKS_AHEAD = 2  # for each worker


class BudgetExceededError(Exception):
    """More images are unreadable than the caller allows."""


@dataclass(frozen=True)
class BlockImages:
    """The n images of a block of a listing.

    Attributes:
        names: names.
        labels: true classes; "" without one.
        splits: splits; "" without one.
        hashes: content hashes; "" for a file that could not be read.
        readable: whether an image could be read, bool [n].
    """

    names: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str]
    hashes: Sequence[str]
    readable: NDArray[np.bool_]


class Network(Protocol):
    """A network with the columns that its outputs become.

    Attributes:
        preprocessing: preprocessing of the images.
        batch_size: number of images in each batch.
    """

    preprocessing: Preprocessing
    batch_size: int

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return outputs, float32 [batch_size, d], of decoded images, uint8 [batch_size, height, width, 3]."""

    def columns(self, outputs: NDArray[np.float32], images: BlockImages) -> dict[str, pyarrow.Array]:
        """Return the columns of all images, from the outputs of the readable ones in their order."""


class NetworkFactory(Protocol):
    """What opens a network in an actor: a small value that is sent there, with the network's contents apart."""

    def open(self, contents: bytes, threads: int) -> Network:
        """Open the network with a number of threads."""


@dataclass(frozen=True)
class ScoringTask:
    """What every actor does.

    Attributes:
        factory: opens the network.
        contents: reference of Ray to the contents of the network's file.
        threads: number of threads of ONNX Runtime, and of decoding processes.
        tally: handle of the actor that counts images.
    """

    factory: NetworkFactory
    contents: Any
    threads: int
    tally: Any


class Scorer:
    """Actor that decodes the images of a block and computes their rows.

    Args:
        task: what to do.
    """

    def __init__(self, task: ScoringTask) -> None:
        import ray

        self._tally = task.tally
        self._score = BlockScorer(task.factory.open(ray.get(task.contents), task.threads), task.threads)

    def __call__(self, block: pyarrow.Table) -> pyarrow.Table:
        """Return a row for each image of a block of the listing, and report the unreadable ones.

        Raises:
            BudgetExceededError: too many images of the whole listing are unreadable.
        """
        import ray

        rows = self._score(block)
        ids, reasons = rows["id"].to_pylist(), rows["unreadable_reason"].to_pylist()
        unreadable = {i: reason for i, reason in zip(ids, reasons, strict=True) if reason is not None}
        if not ray.get(self._tally.add.remote(ids, unreadable)):
            raise BudgetExceededError
        return rows


class BlockScorer:
    """Decoding processes and a network for the images of blocks of a listing.

    Args:
        network: the network.
        threads: number of decoding processes.
    """

    def __init__(self, network: Network, threads: int) -> None:
        self._network = network
        self._threads = threads
        preprocessing = network.preprocessing
        self._image_bytes = preprocessing.height * preprocessing.width * 3
        self._open = ExitStack()
        self._thread_pool = self._open.enter_context(ThreadPoolExecutor(threads))
        self._pool = self._open.enter_context(WorkerPool(threads, preprocessing))
        self._systems: dict[str, Any] = {}

    def close(self) -> None:
        """End the decoding processes."""
        self._open.close()

    def __call__(self, block: pyarrow.Table) -> pyarrow.Table:
        """Return the rows of a block: id, the columns of the network, unreadable_reason."""
        import pyarrow

        images = list(zip(block["scheme"].to_pylist(), block["path"].to_pylist(), strict=True))
        reasons: list[str | None] = []
        hashes: list[str] = []
        outputs = self._run(self._decoded(images, reasons, hashes))
        readable = np.array([reason is None for reason in reasons], np.bool_)
        names, labels, splits = (block[name].to_pylist() for name in ("name", "label", "split"))
        return pyarrow.table(
            {
                "id": block["id"].combine_chunks(),
                **self._network.columns(outputs, BlockImages(names, labels, splits, hashes, readable)),
                "unreadable_reason": pyarrow.array(reasons, pyarrow.string()),
            }
        )

    def _decoded(
        self, images: Sequence[tuple[str, bytes]], reasons: list[str | None], hashes: list[str]
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of the readable images, chunk by chunk; a chunk is decoded while the one before is used."""
        size = max(1, min(_CHUNK_BYTES // self._image_bytes, -(-len(images) // (2 * self._threads))))
        waiting = iter([images[start : start + size] for start in range(0, len(images), size)])
        running = [self._thread_pool.submit(self._decode, chunk) for chunk in islice(waiting, self._ahead)]
        while running:
            chunks = running.pop(0).result()
            running += [self._thread_pool.submit(self._decode, chunk) for chunk in islice(waiting, 1)]
            for chunk in chunks:
                reasons += chunk.reasons
                hashes += chunk.hashes
                yield chunk.pixels[[reason is None for reason in chunk.reasons]]

    @property
    def _ahead(self) -> int:
        return _CHUNKS_AHEAD * self._threads

    def _decode(self, images: Sequence[tuple[str, bytes]]) -> list[DecodedChunk]:
        """Decode a chunk; an object that can't be read is unreadable with the reason of its storage."""
        found = [self._contents(scheme, path) if scheme else os.fsdecode(path) for scheme, path in images]
        failed = {index: reason for index, reason in enumerate(found) if isinstance(reason, _Unread)}
        chunks = self._pool.decode([b"" if isinstance(image, _Unread) else image for image in found])
        if not failed:
            return chunks
        pixels = np.concatenate([chunk.pixels for chunk in chunks])
        hashes = [each for chunk in chunks for each in chunk.hashes]
        headers = [each for chunk in chunks for each in chunk.headers]
        reasons = [each for chunk in chunks for each in chunk.reasons]
        remarks = [each for chunk in chunks for each in chunk.remarks]
        for index, unread in failed.items():
            reasons[index], hashes[index] = unread.reason, ""
        return [DecodedChunk(pixels, hashes, headers, reasons, remarks)]

    def _contents(self, scheme: str, path: bytes) -> bytes | _Unread:
        system = self._systems.get(scheme)
        if system is None:
            system = self._systems[scheme] = open_file_system(scheme)
        try:
            contents = read_bytes(system, os.fsdecode(path), MAX_FILE_SIZE)
        except OSError as error:
            return _Unread(f"the file can't be read: {reason_of(error)}")
        return contents if len(contents) <= MAX_FILE_SIZE else _Unread("too large: a file of more than 1,073 MB")

    def _run(self, chunks: Iterator[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the outputs of the network for all images of the chunks, computed in full batches."""
        network, n = self._network, self._network.batch_size
        outputs: list[NDArray[np.float32]] = []
        rest = np.empty((0, network.preprocessing.height, network.preprocessing.width, 3), np.uint8)
        for chunk in chunks:
            rest = np.concatenate([rest, chunk]) if len(rest) else chunk
            full = len(rest) // n * n
            outputs += [network(rest[start : start + n]) for start in range(0, full, n)]
            rest = rest[full:]
        if len(rest):
            padded = np.zeros((n, *rest.shape[1:]), np.uint8)
            padded[: len(rest)] = rest
            outputs.append(network(padded)[: len(rest)])
        return np.concatenate(outputs) if outputs else np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class _Unread:
    """Reason why an object could not be read."""

    reason: str
