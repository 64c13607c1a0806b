"""Processors and memory that this process may use. Every part of Saccade asks these functions."""

from __future__ import annotations

import os
import re
from pathlib import Path

_ROOT = Path("/")


def usable_cores(root: Path = _ROOT) -> int:
    """Count the processor cores that this process may use, at least 1.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    return _affinity(root)


def memory_bytes(root: Path = _ROOT) -> int:
    """Return the main memory that this process may use, in bytes.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    return _physical_memory(root)


def _affinity(root: Path) -> int:
    """The number of cores on which the system may schedule this process (`taskset`, cpusets)."""
    if allowed := re.search(r"^Cpus_allowed_list:\s*([\d,-]+)$", _text(root / "proc/self/status"), re.MULTILINE):
        ranges = (part.partition("-") for part in allowed[1].split(","))
        return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def _physical_memory(root: Path) -> int:
    if total := re.search(r"^MemTotal:\s*(\d+) kB$", _text(root / "proc/meminfo"), re.MULTILINE):
        return int(total[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # macOS


def _text(path: Path) -> str:
    """The text of a file of the system; empty where the file does not exist or can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
