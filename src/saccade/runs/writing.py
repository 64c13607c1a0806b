"""How the files of a run are written: whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from saccade.whole_files import placed


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON."""
    with placed(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_rows(path: Path, fields: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as CSV under these fields."""
    with placed(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, str] | None = None) -> None:
    """Writes named arrays as safetensors, with notes by name."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with placed(path) as temporary:
        temporary.write_bytes(save(contiguous, None if notes is None else dict(notes)))
