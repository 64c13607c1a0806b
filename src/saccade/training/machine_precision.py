"""Compute dtype of this machine: measured once and cached, so that the load at a moment does not change the weights."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress

from saccade.data.cache import disk_cache
from saccade.errors import DataError
from saccade.models.precision import measure_compute_dtype
from saccade.recipes import ComputeDtype, Recipe
from saccade.runs.environment import read_environment
from saccade.typed_json import from_json, to_json

_KIND = "measured"
_FILE = "compute_dtype.json"


def compute_dtype_of(recipe: Recipe) -> ComputeDtype:
    """Return the compute dtype of a recipe's training on this machine."""
    return fastest_compute_dtype() if recipe.compute == "auto" else recipe.compute


def fastest_compute_dtype() -> ComputeDtype:
    """Return the faster compute dtype for training on this machine with the installed versions.

    The first call measures the dtype and writes it to the cache. If the cache can't be written, each call measures.
    """
    key = _key()
    entry = disk_cache.find_entry(_KIND, key)
    if entry is not None:
        with suppress(OSError, ValueError):
            cached: ComputeDtype = from_json(ComputeDtype, (entry / _FILE).read_text())  # type: ignore[arg-type]
            return cached
    measured = measure_compute_dtype()
    with suppress(DataError, OSError), disk_cache.building() as built:
        (built / _FILE).write_text(to_json(measured))
        disk_cache.keep(built, _KIND, key, f"compute dtype: {measured}")
    return measured


def _key() -> str:
    """Return the cache key: a hash of everything that decides on the faster dtype."""
    environment = read_environment()
    properties = environment.model_dump(
        include={"packages", "backend", "processor", "cores", "accelerators", "kernels"}
    )
    # It disables instructions in oneDNN, such as those for bfloat16.
    properties["instructions"] = os.environ.get("ONEDNN_MAX_CPU_ISA")
    return hashlib.sha256(json.dumps(properties, sort_keys=True).encode()).hexdigest()[:32]
