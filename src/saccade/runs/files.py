"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def placed(target: Path) -> Iterator[Path]:
    """Gives a temporary path beside `target`, with its suffixes; what is written there is moved to `target` at the end.

    If the block raises, the temporary file or directory is removed and `target` stays as it was.
    """
    temporary = target.with_name(f".tmp-{os.getpid()}-{target.name}")
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.replace(target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
