"""Pool of worker processes that decode chunks of images, and recovery from the death of a worker."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar, cast

import numpy as np

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import ImageHeader
from saccade.data.decoding.decode_messages import (
    DecodeRequest,
    DecodeResponse,
    HeaderRequest,
    HeaderResponse,
    Place,
    Ready,
)
from saccade.data.decoding.image_files import DecodedChunk, unreadable_chunk
from saccade.data.decoding.resource_limits import MAX_SECONDS
from saccade.errors import SaccadeError
from saccade.sanitize import printable
from saccade.typed_json import from_json, to_json

_Message = TypeVar("_Message")

# -P: no imports from the working directory, which may hold any file.
_COMMAND = (sys.executable, "-P", "-m", "saccade.data.decoding.decode_worker")


class WorkerDiedError(Exception):
    """A worker ended before its response, or sent an invalid response."""


class Worker:
    """Decoding process, used by one thread at a time."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        # A file, not a pipe: a full pipe that nobody reads would block the worker.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(  # noqa: S603
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        self._requests = cast("io.BufferedWriter", self._process.stdin)
        self._responses = cast("io.BufferedReader", self._process.stdout)

    def start(self) -> None:
        """Wait until the worker is ready.

        Raises:
            SaccadeError: the worker ended instead.
        """
        try:
            self._send(self._preprocessing)
            self._receive(Ready)
        except WorkerDiedError as error:
            raise SaccadeError(
                "the processes that decode images could not be started",
                found=self._last_stderr_line() or str(error),
                remedy=f"check that `{shlex.join(_COMMAND)}` starts",
            ) from None

    def decode(self, images: Sequence[str | bytes], place: Place | None = None) -> DecodedChunk:
        """Decode a chunk of images, given as paths or as contents; the process writes the pixels to `place`, if any.

        Raises:
            WorkerDiedError: the process ended before its complete response.
            OSError: the pixels could not be written.
        """
        self._send(DecodeRequest(_sources(images), place), [image for image in images if isinstance(image, bytes)])
        response = self._receive(DecodeResponse)
        if response.unwritten and place is not None:
            raise OSError(response.unwritten, os.strerror(response.unwritten), place.path)
        returned = len(images) if place is None else 0
        pixels = np.empty((returned, self._preprocessing.height, self._preprocessing.width, 3), np.uint8)
        self._receive_into(pixels.reshape(-1).data)
        return DecodedChunk(pixels, response.hashes, response.headers, response.reasons, response.remarks)

    def read_headers(self, images: Sequence[str | bytes]) -> list[ImageHeader]:
        """Return the headers of the images, given as paths or as contents, whose header can be read.

        Raises:
            WorkerDiedError: the process ended before its complete response.
        """
        self._send(HeaderRequest(_sources(images)), [image for image in images if isinstance(image, bytes)])
        return list(self._receive(HeaderResponse).headers)

    def death_reason(self) -> str:
        """Return the reason why the image that ended this process is unreadable."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process.wait(timeout=10) == -getattr(signal, "SIGPROF", 0):
                return f"it takes more than {MAX_SECONDS} seconds to decode"
        return "the decoder crashed"

    def end(self) -> None:
        """End the process at once; a thread that waits for a response gets `WorkerDiedError`."""
        self._process.kill()
        self._process.wait()
        for stream in (self._requests, self._responses, self._stderr):
            with contextlib.suppress(OSError):  # the rest of a request, which can't be delivered
                stream.close()

    def _send(self, message: object, contents: Sequence[bytes] = ()) -> None:
        with _broken_pipes_as_deaths():
            self._requests.write(to_json(message).encode() + b"\n")
            self._requests.writelines(contents)
            self._requests.flush()

    def _receive(self, kind: type[_Message]) -> _Message:
        with _broken_pipes_as_deaths():
            line = self._responses.readline()
        try:
            return from_json(kind, line)
        except ValueError:  # half a line, or output of a library
            received_text = printable(line[:100].decode(errors="replace").strip())
            raise WorkerDiedError(f"invalid response {received_text!r}" if line else "the process ended") from None

    def _receive_into(self, buffer: memoryview) -> None:
        with _broken_pipes_as_deaths():
            received = self._responses.readinto(buffer)
        if received < len(buffer):
            raise WorkerDiedError

    def _last_stderr_line(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def _sources(images: Sequence[str | bytes]) -> tuple[str | int, ...]:
    """Return the paths of images, and the number of bytes of those that are contents."""
    return tuple(len(image) if isinstance(image, bytes) else image for image in images)


@contextmanager
def _broken_pipes_as_deaths() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):  # ValueError: another thread has closed the pipe
        raise WorkerDiedError from None


class WorkerPool:
    """Pool of workers for several threads; a thread waits until a worker is free.

    The exit from the context manager ends all workers at once.
    """

    def __init__(self, count: int, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._free: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()
        self._closed = False
        for _ in range(count):
            self._free.put(None)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.end()

    def start(self) -> None:
        """Start all workers; without this call a worker starts at its first use.

        Raises:
            SaccadeError: a worker could not be started.
        """
        count = self._free.qsize()
        with ThreadPoolExecutor(count) as threads:
            for worker in list(threads.map(lambda _: self._free.get() or self._new_worker(), range(count))):
                self._free.put(worker)

    def decode(self, images: Sequence[str | bytes], place: Place | None = None) -> list[DecodedChunk]:
        """Decode a chunk of images; if the worker dies, decode the images again in chunks of one image.

        Args:
            images: images, as paths or as contents.
            place: place in a file, which holds zeros there, for the pixels. None: the chunks hold the pixels.

        Raises:
            WorkerDiedError: the pool was closed.
            SaccadeError: no worker could be started.
            OSError: the pixels could not be written to the file.
        """
        worker = self._free.get()
        try:
            worker = worker or self._new_worker()
            return [worker.decode(images, place)]
        except WorkerDiedError:
            self._end(worker)
            worker = None
            return list(self._decode_singly(images, place))
        finally:
            self._free.put(worker)

    def read_headers(self, images: Sequence[str | bytes]) -> list[ImageHeader]:
        """Return the headers of the images whose header can be read without the death of a worker.

        Raises:
            SaccadeError: no worker could be started.
        """
        worker = self._free.get()
        try:
            worker = worker or self._new_worker()
            return worker.read_headers(images)
        except WorkerDiedError:
            self._end(worker)
            worker = None
            return [header for image in images for header in self._read_headers_singly(image)]
        finally:
            self._free.put(worker)

    def _read_headers_singly(self, image: str | bytes) -> list[ImageHeader]:
        worker = self._new_worker()
        try:
            return worker.read_headers([image])
        except WorkerDiedError:
            return []
        finally:
            self._end(worker)

    def _decode_singly(self, images: Sequence[str | bytes], place: Place | None) -> Iterator[DecodedChunk]:
        """Decode images one by one in a new worker: the image at which a worker dies is the unreadable one."""
        worker = None
        size = self._preprocessing.height * self._preprocessing.width * 3
        for number, image in enumerate(images):
            worker = worker or self._new_worker()
            try:
                yield worker.decode([image], place and replace(place, offset=place.offset + number * size))
            except WorkerDiedError:
                reason = worker.death_reason()
                self._end(worker)
                worker = None
                yield unreadable_chunk(reason, self._preprocessing, without_pixels=place is not None)
        self._end(worker)

    def _end(self, worker: Worker | None) -> None:
        if self._closed:
            raise WorkerDiedError
        if worker is not None:
            worker.end()
            with self._lock, contextlib.suppress(ValueError):  # another thread may have closed the pool
                self._workers.remove(worker)

    def _new_worker(self) -> Worker:
        try:
            return self._start_worker()
        except SaccadeError:
            return self._start_worker()  # another cause may have ended the first worker

    def _start_worker(self) -> Worker:
        with self._lock:
            if self._closed:
                raise WorkerDiedError
            worker = Worker(self._preprocessing)
            self._workers.append(worker)
        try:
            worker.start()
        except SaccadeError:
            self._end(worker)
            raise
        return worker
