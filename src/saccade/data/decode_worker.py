"""The decoder as a process: `python -m saccade.data.decode_worker`, started by `saccade.data.workers`.

It is an ordinary program that talks through its standard input and output, because the alternatives are worse:
`multiprocessing` would either run the user's own script again (spawn) or copy a process in which TensorFlow has
threads (fork), and it pickles.

In: one line of JSON with the rule, then one with the paths of each chunk. Out: the line `{"ready": true}`, then for
each chunk one line of JSON with hashes, facts and reasons, followed by the pixels as raw bytes.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import BinaryIO

from saccade.data.dataset import PictureRule
from saccade.data.picture_files import decode_chunk


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers requests until there are no more."""
    rule = PictureRule(**json.loads(requests.readline()))
    _write_line(answers, {"ready": True})
    for request in requests:
        chunk = decode_chunk(json.loads(request), rule)
        _write_line(answers, {"hashes": chunk.hashes, "facts": chunk.facts, "reasons": chunk.reasons})
        answers.write(chunk.pixels.data)
        answers.flush()


def _write_line(answers: BinaryIO, value: object) -> None:
    answers.write(json.dumps(value).encode() + b"\n")
    answers.flush()


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
