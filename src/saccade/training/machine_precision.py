"""What this machine trains in: measured once and remembered, so that a busy moment does not give other weights."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress

from saccade.data.cache import disk_cache
from saccade.errors import DataError
from saccade.models.precision import measure_compute_dtype
from saccade.recipes import ComputeDtype
from saccade.runs.environment import read_environment
from saccade.typed_json import from_json, to_json

_KIND = "measured"
_FILE = "compute_dtype.json"


def compute_dtype_of_machine() -> ComputeDtype:
    """The dtype that was measured to be faster on this machine with these versions, the first time it was asked for.

    It lies in the cache. Where the cache can't be written, it is measured each time.
    """
    key = _key()
    found = disk_cache.find_entry(_KIND, key)
    if found is not None:
        with suppress(OSError, ValueError):
            remembered: ComputeDtype = from_json(ComputeDtype, (found / _FILE).read_text())  # type: ignore[arg-type]
            return remembered
    measured = measure_compute_dtype()
    with suppress(DataError, OSError), disk_cache.building() as built:
        (built / _FILE).write_text(to_json(measured))
        disk_cache.keep(built, _KIND, key, f"compute dtype: {measured}")
    return measured


def _key() -> str:
    """Of all that decides which one is faster."""
    environment = read_environment()
    properties = environment.model_dump(include={"packages", "backend", "processor", "cores", "accelerators"})
    # Variables that forbid oneDNN instructions that the processor has, bfloat16's among them.
    properties["kernels"] = {name: os.environ.get(name) for name in ("ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS")}
    return hashlib.sha256(json.dumps(properties, sort_keys=True).encode()).hexdigest()[:32]
