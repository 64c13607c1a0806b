"""Files and folders that appear whole or not at all, and outlast a power cut once they are there."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

TEMPORARY = ".tmp-"
"""What the names of unfinished files and folders begin with."""


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Gives a temporary path beside `target`, with its suffixes; what is written there is moved to `target` at the end.

    What was written is brought to the disk before it is moved, and the move after it. If the block raises, the
    temporary file or folder is removed and `target` stays as it was.
    """
    temporary = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
    try:
        yield temporary
        if temporary.is_file():
            flush(temporary)
        temporary.replace(target)
        flush(target.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Has the system bring a file's contents, or a folder's list of names, to the disk (`fsync`)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_rows(path: Path, fields: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as CSV under these fields."""
    with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, str] | None = None) -> None:
    """Writes named arrays as safetensors, with notes by name."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(contiguous, None if notes is None else dict(notes)))
