"""Worker processes that decode chunks of images, and what happens when one of them dies."""

from __future__ import annotations

import contextlib
import io
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
from typing import TypeVar, cast

import numpy as np

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import ImageHeader
from saccade.data.decoding.decode_messages import DecodeRequest, DecodeResponse, HeaderRequest, HeaderResponse, Ready
from saccade.data.decoding.image_files import DecodedChunk, unreadable_chunk
from saccade.data.decoding.resource_limits import MOST_SECONDS
from saccade.errors import SaccadeError
from saccade.sanitize import printable
from saccade.typed_json import from_json, to_json

_Message = TypeVar("_Message")

# -P: the working directory, in which there may be anything, is no place to import from.
_COMMAND = (sys.executable, "-P", "-m", "saccade.data.decoding.decode_worker")


class WorkerDiedError(Exception):
    """A worker ended before it had answered, or answered something else than it was asked."""


class Worker:
    """One decoding process, used by one thread at a time."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        # A file, not a pipe: nobody would empty a pipe while the worker writes to it.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(  # noqa: S603
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )
        self._requests = cast("io.BufferedWriter", self._process.stdin)
        self._responses = cast("io.BufferedReader", self._process.stdout)

    def start(self) -> None:
        """Waits until the worker is ready.

        Raises:
            SaccadeError: if it ended instead.
        """
        try:
            self._send(self._preprocessing)
            self._receive(Ready)
        except WorkerDiedError as error:
            raise SaccadeError(
                "the processes that decode images could not be started",
                found=self._last_complaint() or str(error),
                remedy=f"check that `{shlex.join(_COMMAND)}` starts",
            ) from None

    def decode(self, images: Sequence[str | bytes]) -> DecodedChunk:
        """Has a chunk of images decoded, each the path of a file or its contents.

        Raises:
            WorkerDiedError: if the process ended before it had answered in full.
        """
        contents = [image for image in images if isinstance(image, bytes)]
        request = DecodeRequest(tuple(len(item) if isinstance(item, bytes) else item for item in images))
        self._send(request, contents)
        response = self._receive(DecodeResponse)
        pixels = np.empty((len(images), self._preprocessing.height, self._preprocessing.width, 3), np.uint8)
        self._receive_into(pixels.reshape(-1).data)
        return DecodedChunk(pixels, response.hashes, response.headers, response.reasons)

    def read_headers(self, paths: Sequence[str]) -> list[ImageHeader]:
        """Has the headers of files read; those that can't be read are left out.

        Raises:
            WorkerDiedError: if the process ended before it had answered in full.
        """
        self._send(HeaderRequest(tuple(paths)))
        return list(self._receive(HeaderResponse).headers)

    def why_it_died(self) -> str:
        """What an image is refused for after it ended this process."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process.wait(timeout=10) == -signal.SIGPROF:
                return f"it takes more than {MOST_SECONDS} seconds to decode"
        return "the decoder broke down on it"

    def end(self) -> None:
        """Ends the process at once; whoever waits for its answer gets `WorkerDiedError`."""
        self._process.kill()
        self._process.wait()
        for stream in (self._requests, self._responses, self._complaints):
            with contextlib.suppress(OSError):  # a request that can't be delivered any more
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
        except ValueError:  # half a line, or what a library printed
            received_text = printable(line[:100].decode(errors="replace").strip())
            raise WorkerDiedError(f"it answered {received_text!r}" if line else "it ended without a word") from None

    def _receive_into(self, buffer: memoryview) -> None:
        with _broken_pipes_as_deaths():
            received = self._responses.readinto(buffer)
        if received < len(buffer):
            raise WorkerDiedError

    def _last_complaint(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@contextmanager
def _broken_pipes_as_deaths() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):  # ValueError: another thread has closed the pipe
        raise WorkerDiedError from None


class WorkerPool:
    """Workers to be used from several threads; every thread waits for one that is free.

    A context manager: leaving it ends all workers, whatever they are doing.
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
        """Starts all workers, each of which else starts when it is first needed.

        Raises:
            SaccadeError: if one could not be started.
        """
        count = self._free.qsize()
        with ThreadPoolExecutor(count) as threads:
            for worker in list(threads.map(lambda _: self._free.get() or self._new_worker(), range(count))):
                self._free.put(worker)

    def decode(self, images: Sequence[str | bytes]) -> list[DecodedChunk]:
        """Has a chunk of images decoded; one after the other, each in a chunk of its own, where a worker died of one.

        Raises:
            WorkerDiedError: if the pool was closed.
            SaccadeError: if no worker could be started.
        """
        worker = self._free.get()
        try:
            worker = worker or self._new_worker()
            return [worker.decode(images)]
        except WorkerDiedError:
            self._end(worker)
            worker = None
            return list(self._decode_singly(images))
        finally:
            self._free.put(worker)

    def read_headers(self, paths: Sequence[str]) -> list[ImageHeader]:
        """Has the headers of files read; those that can't be read, or end the worker, are left out.

        Raises:
            SaccadeError: if no worker could be started.
        """
        worker = self._free.get()
        try:
            worker = worker or self._new_worker()
            return worker.read_headers(paths)
        except WorkerDiedError:
            self._end(worker)
            worker = None
            return [header for path in paths for header in self._read_headers_singly(path)]
        finally:
            self._free.put(worker)

    def _read_headers_singly(self, path: str) -> list[ImageHeader]:
        worker = self._new_worker()
        try:
            return worker.read_headers([path])
        except WorkerDiedError:
            return []
        finally:
            self._end(worker)

    def _decode_singly(self, images: Sequence[str | bytes]) -> Iterator[DecodedChunk]:
        """In a worker of its own, so that a death is the fault of the image that was being decoded."""
        worker = None
        for image in images:
            worker = worker or self._new_worker()
            try:
                yield worker.decode([image])
            except WorkerDiedError:
                reason = worker.why_it_died()
                self._end(worker)
                worker = None
                yield unreadable_chunk(reason, self._preprocessing)
        self._end(worker)

    def _end(self, worker: Worker | None) -> None:
        if self._closed:
            raise WorkerDiedError
        if worker is not None:
            worker.end()
            with self._lock, contextlib.suppress(ValueError):  # the pool may have been closed meanwhile
                self._workers.remove(worker)

    def _new_worker(self) -> Worker:
        try:
            return self._start_worker()
        except SaccadeError:
            return self._start_worker()  # something else may have ended the first one

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
