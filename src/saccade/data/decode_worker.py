"""The decoder as a process: `python -m saccade.data.decode_worker`, started by `saccade.data.workers`.

It is an ordinary program that talks through its standard input and output, because the alternatives are worse:
`multiprocessing` would either run the user's own script again (spawn) or copy a process in which TensorFlow has
threads (fork), and it pickles.

In: one line of JSON with the rule, then one for each chunk, with the paths of the files to decode or to probe; a number
in place of a path stands for the contents of a picture, of so many bytes, which follow the line. Out: the line
`{"ready": true}`, then for each chunk one line of JSON: facts, and, of decoded pictures, hashes and reasons; then the
pixels as raw bytes. The process ends if a picture takes too long, or breaks the decoder.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any, BinaryIO

from saccade.data.dataset import PictureRule
from saccade.data.limits import bound_memory
from saccade.data.picture_files import decode_chunk, probe_chunk


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers requests until there are no more."""
    rule = _rule_of(json.loads(requests.readline()))
    _write_line(answers, {"ready": True})
    bound_memory(rule.max_pixels)
    for line in requests:
        request = json.loads(line)
        if "probe" in request:
            _write_line(answers, {"facts": probe_chunk(request["probe"])})
            continue
        asked = [requests.read(item) if isinstance(item, int) else item for item in request["decode"]]
        chunk = decode_chunk(asked, rule)
        _write_line(answers, {"hashes": chunk.hashes, "facts": chunk.facts, "reasons": chunk.reasons})
        answers.write(chunk.pixels.data)
        answers.flush()


def _rule_of(values: dict[str, Any]) -> PictureRule:
    """The rule as it was sent: JSON knows no tuples, and Pillow takes no list for a color."""
    return PictureRule(**{**values, "background": tuple(values["background"])})


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
