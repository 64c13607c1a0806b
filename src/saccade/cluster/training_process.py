"""A training as a Ray task: the plain command in a process of its own, with its own threads, signals and messages.

The process ends with the task, however that ends, because its standard input is a pipe that only the task holds open.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

# Read by Saccade, for TensorFlow and ONNX Runtime, and by the libraries of linear algebra when NumPy is imported.
_THREADS = ("SACCADE_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_SAVE = 300.0
_MAX_MESSAGES = 20_000  # bytes, of the end


@dataclass(frozen=True)
class Outcome:
    """Outcome of a training.

    Attributes:
        node_id: id of the node, as of Ray.
        code: exit code of the command; the negative number of the signal that killed it.
        messages: end of its messages on stderr.
    """

    node_id: str
    code: int
    messages: str


def train(words: Sequence[str], threads: int) -> Outcome:
    """Run a command line of Saccade with a number of threads and without a GPU; this is the Ray task.

    Cancelling the task stops the training after its current step, and saves it, as Ctrl-C does.

    Args:
        words: words of the command line after `saccade`.
        threads: number of threads of TensorFlow, ONNX Runtime and linear algebra.
    """
    import ray

    environment = os.environ | dict.fromkeys(_THREADS, str(threads)) | {"CUDA_VISIBLE_DEVICES": "-1"}
    with tempfile.TemporaryFile() as messages:
        with subprocess.Popen(  # noqa: S603 - the words are those of the user's command
            [sys.executable, "-m", __name__, *words],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages, env=environment, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                code = _code_of(process)
            finally:
                process.kill()
        return Outcome(ray.get_runtime_context().get_node_id(), code, _end_of(messages))


def _code_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process, and return its exit code. A cancellation is passed on as Ctrl-C."""
    try:
        # Ray interrupts Python's instructions, not a system call that waits.
        while process.poll() is None:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait(_SECONDS_TO_SAVE)
        raise
    return process.returncode


def _end_of(messages: IO[bytes]) -> str:
    size = messages.seek(0, os.SEEK_END)
    messages.seek(max(0, size - _MAX_MESSAGES))
    return messages.read().decode(errors="replace")


def main() -> None:
    """Run the command line of Saccade until it ends or standard input is closed."""
    # Ray blocks SIGINT in its processes, which their children inherit.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module("saccade", run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    # Not by `sys.stdin`, whose lock Python needs to exit.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
