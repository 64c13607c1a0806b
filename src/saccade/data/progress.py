"""Progress on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """Counts what is done."""

    def update(self, n: int) -> object:
        """Adds n to what is done."""


class _NoProgress:
    def update(self, n: int) -> None:
        pass


NO_PROGRESS: Progress = _NoProgress()
"""Shows nothing."""


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
    """Shows how much of `total` is done, on standard error; shows nothing if not `shown`.

    Args:
        label: what is being done, such as "decoding".
        total: how many units there are.
        unit: what is counted, such as "images".
        shown: whether to show anything.
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
