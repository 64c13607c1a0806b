"""Commands run and timed as whole processes; and what the benchmarks' own command lines have in common."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from saccade.errors import SaccadeError

SACCADE = (sys.executable, "-m", "saccade")


@dataclass(frozen=True)
class Finished:
    """A command that ended well.

    Attributes:
        seconds: wall-clock time of the whole process.
        processor_seconds: user and system time, that of the processes which it waited for included.
        peak_memory_mb: largest resident size, in megabytes (10^6 bytes), of the process or of one that it waited for.
        output: what it wrote to standard output.
    """

    seconds: float
    processor_seconds: float
    peak_memory_mb: float
    output: str


def timed(command: Sequence[str]) -> Finished:
    """Runs a command to its end; what it writes to standard error is shown.

    Raises:
        SaccadeError: it failed.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output)
        try:
            # wait4 tells what this process used; RUSAGE_CHILDREN keeps the largest of all that have run so far.
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        seconds = time.perf_counter() - began
        output.seek(0)
        written = output.read().decode()
    if process.returncode:
        raise SaccadeError(
            f"the command failed: {shlex.join(command)}",
            found=f"exit code {process.returncode}; what it said of it stands above",
        )
    # Kilobytes of 1024 bytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return Finished(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 10**6, written)


def at_least_one(text: str) -> int:
    """Reads a number for a command line: 1, 2 and so on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of at least 1")
    return int(text)


def run_program(main: Callable[[], None]) -> None:
    """Runs a benchmark; an error that its user can mend is told without a traceback, with exit code 1."""
    try:
        main()
    except SaccadeError as error:
        sys.exit(f"error: {error}")
