"""Filter of standard error, for libraries whose C++ code writes notices there that no setting turns off."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def filtered_stderr(notices: re.Pattern[bytes]) -> Iterator[None]:
    """Hold back the output to file descriptor 2, and write at the end its lines that are no notices.

    Args:
        notices: pattern that is found in each line to drop; an empty pattern drops all lines.
    """
    try:
        sys.stderr.flush()
        terminal = os.dup(2)
    except (AttributeError, OSError, ValueError):
        # A process without stderr: a program with windows, or a closed descriptor.
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            for line in held:
                if not notices.search(line):
                    os.write(2, line)
