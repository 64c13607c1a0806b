"""Timed commands as whole processes, and common functions of the benchmarks' command lines."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from saccade.errors import SaccadeError

SACCADE = (sys.executable, "-m", "saccade")


@dataclass(frozen=True)
class Finished:
    """A command that ended with exit code 0.

    Attributes:
        seconds: wall-clock time of the whole process.
        processor_seconds: user and system time, including child processes that the process waited for.
        peak_memory_mb: maximum resident set size of the process and of these children, in megabytes (10^6 bytes).
        output: standard output.
    """

    seconds: float
    processor_seconds: float
    peak_memory_mb: float
    output: str


def timed(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end; standard error is not captured.

    Args:
        command: words of the command line.
        environment: environment variables; None: those of this process.

    Raises:
        SaccadeError: the command failed.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, env=environment)
        try:
            # wait4 returns the usage of this process; RUSAGE_CHILDREN has the maximum over all children so far.
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
            found=f"exit code {process.returncode}; its messages are above",
        )
    # Kilobytes of 1024 bytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return Finished(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 10**6, written)


def at_least_one(text: str) -> int:
    """Parse an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of at least 1")
    return int(text)


def run_program(main: Callable[[], None]) -> None:
    """Run a benchmark; report a `SaccadeError` without a traceback, with exit code 1."""
    try:
        main()
    except SaccadeError as error:
        sys.exit(f"error: {error}")
