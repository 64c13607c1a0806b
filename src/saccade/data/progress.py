"""Progress on standard error: a bar on a terminal, else a line of text every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """Counter of finished units."""

    def update(self, n: int) -> object:
        """Add n finished units."""


class _NoProgress:
    def update(self, n: int) -> None:
        pass


NO_PROGRESS: Progress = _NoProgress()
"""Progress that shows nothing."""


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
        sys.stderr.write(f"{self._label}: {self._done:,} of {self._total:,} {self._unit}\n")
        sys.stderr.flush()


@contextmanager
def counting(label: str, *, total: int, unit: str, shown: bool) -> Iterator[Progress]:
    """Show the number of finished units on standard error.

    Args:
        label: name of the work, such as "decoding".
        total: number of units.
        unit: plural of the unit, such as "images".
        shown: whether to show the progress.
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
