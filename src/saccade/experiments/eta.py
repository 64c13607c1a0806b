"""Log messages of an experiment."""

from __future__ import annotations

import sys

from saccade.sanitize import printable


def log_message(text: str, *, shown: bool = True) -> None:
    """Write a line to stderr if `shown`."""
    if shown:
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()
