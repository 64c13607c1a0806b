"""Worker process of the decoder: `python -m saccade.data.decoding.decode_worker`, started by `decode_pool.py`.

The worker is a plain program with messages on standard input and output. `multiprocessing` would either run the user's
script again (spawn) or copy a process in which TensorFlow has threads (fork), and it uses pickle.

Every line is a message of `saccade.data.decoding.decode_messages`. Input: a `Preprocessing`, then one request for each
chunk, with the paths of the files. A number n in place of a path stands for an image of n bytes, which follow the line.
Output: `Ready`, then one response for each request, followed by the pixels as raw bytes; or the pixels are written to
a file, which saves the way through a pipe. The process ends if an image takes too much time or crashes the decoder.
"""

from __future__ import annotations

import errno
import signal
import sys
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode_messages import DecodeResponse, HeaderRequest, HeaderResponse, Place, Ready, Request
from saccade.data.decoding.image_files import decode_chunk, read_header_chunk
from saccade.data.decoding.resource_limits import limit_memory
from saccade.typed_json import from_json, to_json


def serve(requests: BinaryIO, responses: BinaryIO) -> None:
    """Respond to requests until the end of the input."""
    preprocessing = from_json(Preprocessing, requests.readline())
    _write_line(responses, Ready())
    limits = limit_memory(preprocessing.max_pixels)
    for line in requests:
        request = from_json(cast("type[Request]", Request), line)
        images = [requests.read(item) if isinstance(item, int) else item for item in request.images]
        if isinstance(request, HeaderRequest):
            _write_line(responses, HeaderResponse(tuple(read_header_chunk(images))))
            continue
        chunk = decode_chunk(images, preprocessing, limits)
        unwritten = 0 if request.place is None else _write_pixels(request.place, chunk.pixels)
        columns = (tuple(chunk.hashes), tuple(chunk.headers), tuple(chunk.reasons), tuple(chunk.remarks))
        response = DecodeResponse(*columns, unwritten)
        _write_line(responses, response)
        if request.place is None:
            responses.write(chunk.pixels.data)
            responses.flush()


def _write_pixels(place: Place, pixels: NDArray[np.uint8]) -> int:
    """Write pixels to their place in a file; return 0, or the number of the error."""
    try:
        with open(place.path, "r+b", buffering=0) as stream:  # noqa: PTH123 - faster than a Path
            stream.seek(place.offset)
            unwritten = pixels.reshape(-1).data
            while unwritten:
                unwritten = unwritten[stream.write(unwritten) :]
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _write_line(responses: BinaryIO, message: Any) -> None:
    responses.write(to_json(message).encode() + b"\n")
    responses.flush()


def main() -> None:
    """Serve standard input and output; ignore Ctrl-C, after which the parent process ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        # The parent has ended; suppress the interpreter's message about standard output.
        sys.stderr.close()


if __name__ == "__main__":
    main()
