"""The decoder as a process: `python -m saccade.data.decoding.decode_worker`, started by `decode_pool.py`.

It is an ordinary program that talks through its standard input and output, because the alternatives are worse:
`multiprocessing` would either run the user's own script again (spawn) or copy a process in which TensorFlow has
threads (fork), and it pickles.

Every line is a message of `saccade.data.decoding.decode_messages`. In: the rule, then one request for each chunk, with
the paths of the files to decode or to probe; a number in place of a path stands for the contents of an image, which
follow the line and have that many bytes. Out: `Ready`, then an answer for each chunk; then the pixels as raw bytes. The
process ends if an image takes too long, or breaks the decoder.
"""

from __future__ import annotations

import signal
import sys
from typing import Any, BinaryIO, cast

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode_messages import DecodeResponse, HeaderRequest, HeaderResponse, Ready, Request
from saccade.data.decoding.image_files import decode_chunk, read_header_chunk
from saccade.data.decoding.resource_limits import bound_memory
from saccade.typed_json import from_json, to_json


def serve(requests: BinaryIO, responses: BinaryIO) -> None:
    """Answers requests until there are no more."""
    preprocessing = from_json(Preprocessing, requests.readline())
    _write_line(responses, Ready())
    bound_memory(preprocessing.max_pixels)
    for line in requests:
        request = from_json(cast("type[Request]", Request), line)
        if isinstance(request, HeaderRequest):
            _write_line(responses, HeaderResponse(tuple(read_header_chunk(request.paths))))
            continue
        asked = [requests.read(item) if isinstance(item, int) else item for item in request.images]
        chunk = decode_chunk(asked, preprocessing)
        _write_line(responses, DecodeResponse(tuple(chunk.hashes), tuple(chunk.headers), tuple(chunk.reasons)))
        responses.write(chunk.pixels.data)
        responses.flush()


def _write_line(responses: BinaryIO, message: Any) -> None:
    responses.write(to_json(message).encode() + b"\n")
    responses.flush()


def main() -> None:
    """Serves standard input and output. Ctrl-C is left to the parent, which ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        # The parent is gone; leave without the interpreter's complaint about its standard output.
        sys.stderr.close()


if __name__ == "__main__":
    main()
