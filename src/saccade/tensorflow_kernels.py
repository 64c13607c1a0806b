"""Kernels of TensorFlow on a processor: those of oneDNN, or of Eigen.

TensorFlow chooses oneDNN by itself only on processors with newer instructions, such as AVX-512 VNNI, although oneDNN is
faster with AVX2 too (docs/performance.md). It reads the environment variable `TF_ENABLE_ONEDNN_OPTS` once, when it is
imported. Child processes inherit the variable, so that all processes of a command compute with the same kernels.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Literal

Kernels = Literal["oneDNN", "Eigen"]

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
"""Environment variable that chooses the kernels."""

VALUES: dict[Kernels, str] = {"oneDNN": "1", "Eigen": "0"}
"""Values of the variable."""

_CPU_INFO = Path("/proc/cpuinfo")
# The instructions from which TensorFlow chooses oneDNN by itself.
_CHOSEN_BY_TENSORFLOW = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}


def prefer_onednn() -> None:
    """Choose oneDNN on a processor with AVX2, unless the user has chosen, or TensorFlow is imported already."""
    if VARIABLE not in os.environ and "tensorflow" not in sys.modules and "avx2" in instruction_sets():
        os.environ[VARIABLE] = VALUES["oneDNN"]


def kernels_in_use() -> Kernels:
    """Return the kernels that TensorFlow uses in this process."""
    chosen = os.environ.get(VARIABLE)
    if chosen is None:
        return "oneDNN" if _CHOSEN_BY_TENSORFLOW & instruction_sets() else "Eigen"
    return "Eigen" if chosen.strip().lower() in ("0", "false") else "oneDNN"


def instruction_sets() -> set[str]:
    """Return the names of the instruction sets of the processor; empty where the system does not list them."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", _CPU_INFO.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return set()
    return set(flags[1].split()) if flags else set()
