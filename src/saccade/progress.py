"""Progress on stderr: messages, and a count that is a bar on a terminal and a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from saccade.sanitize import printable

_SECONDS_BETWEEN_LINES = 10.0


def log_message(text: str, *, shown: bool = True) -> None:
    """Write a message of one or more lines to stderr, with control characters escaped; nothing if not `shown`."""
    if shown:
        sys.stderr.write(f"{printable(text, lines=True)}\n")
        sys.stderr.flush()


class Progress(Protocol):
    """A count of finished units of work."""

    def update(self, n: int) -> object:
        """Add `n` units to the count."""


class _NoProgress:
    def update(self, n: int) -> None:
        pass


NO_PROGRESS: Progress = _NoProgress()
"""A count that is not displayed."""


class _Lines:
    def __init__(self, label: str, unit: str, total: int) -> None:
        self._label, self._unit, self._total = label, unit, total
        self._done = 0
        self._last = time.monotonic()

    def update(self, n: int) -> None:
        self._done += n
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            self.write()

    def write(self) -> None:
        log_message(f"{self._label}: {self._done:,} of {self._total:,} {self._unit}")


@contextmanager
def counting(label: str, *, total: int, unit: str, shown: bool) -> Iterator[Progress]:
    """Display on stderr how many of `total` units are finished; nothing if not `shown`.

    Args:
        label: the work, such as "decoding".
        total: number of units.
        unit: noun for the units, such as "images".
        shown: whether to display the count.
    """
    if not shown:
        yield NO_PROGRESS
    elif sys.stderr.isatty():
        from tqdm import tqdm

        scaled = unit == "bytes"
        with tqdm(total=total, desc=label, unit=f" {unit}", unit_scale=scaled, leave=False, dynamic_ncols=True) as bar:
            yield bar
    else:
        lines = _Lines(label, unit, total)
        yield lines
        lines.write()
