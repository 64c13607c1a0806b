"""Processors, memory and protections of the system that are available to this process.

In a container, the limits of its control groups (cgroup version 1 and 2) count, not the numbers of the host. Of nested
groups, the tightest limit counts. Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`,
`memory.max`), https://docs.kernel.org/scheduler/sched-bwc.html (`cpu.cfs_quota_us`), and proc_pid_mountinfo(5).
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_ROOT = Path("/")

# Module of Python that some systems lack -> clause on the missing protection.
_PROTECTIONS = {
    "fcntl": "processes that use the cache at the same time do not lock its entries",
    "resource": "memory and time of decoding an image are not limited",
}


def missing_protections() -> list[str]:
    """Return a clause on each protection that this system lacks: Windows has neither `fcntl` nor `resource`."""
    return [text for module, text in _PROTECTIONS.items() if importlib.util.find_spec(module) is None]


def usable_cores(root: Path = _ROOT) -> int:
    """Count the processor cores that this process may use, at least 1: `SACCADE_THREADS`, or those of the system.

    A quota of a part of a core is rounded up, as the Java virtual machine and .NET do: with one thread for a quota of
    1.5 cores, half a core would never have work.

    Args:
        root: folder that holds `proc` and `sys`.
    """
    return _wanted_threads() or max(1, math.ceil(min(_affinity(root), _cpu_quota(root))))


def library_threads(root: Path = _ROOT) -> int | None:
    """Return the number of threads for libraries that respect affinity but no quota: TensorFlow and ONNX Runtime.

    Args:
        root: folder that holds `proc` and `sys`.

    Returns:
        None where neither `SACCADE_THREADS` nor a quota is below the number of cores. Then the library's own number
        stays, because another number of threads gives other bits.
    """
    if wanted := _wanted_threads():
        return wanted
    cores = usable_cores(root)
    return cores if cores < _affinity(root) else None


def _wanted_threads() -> int | None:
    """Return the number of threads of `SACCADE_THREADS`; None where the variable holds no whole number above 0."""
    text = os.environ.get("SACCADE_THREADS", "")
    return int(text) or None if text.isdecimal() else None


def memory_bytes(root: Path = _ROOT) -> int:
    """Return the main memory that this process may use, in bytes.

    Args:
        root: folder that holds `proc` and `sys`.
    """
    return min(_physical_memory(root), _memory_limit(root))


def _cpu_quota(root: Path) -> float:
    """Return the tightest quota of processor time, in cores; infinity where there is no quota."""
    quotas = [math.inf]
    for folder in _groups(root, "cpu"):
        version_2 = _text(folder / "cpu.max").split()
        version_1 = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        for quota in (version_2, version_1):
            # "max" and "-1" stand for no limit.
            with suppress(ValueError, ZeroDivisionError):
                time, period = map(int, quota)
                quotas.append(time / period if time > 0 else math.inf)
    return min(quotas)


def _memory_limit(root: Path) -> int:
    """Return the tightest memory limit, in bytes; 2**63 - 1 where there is no limit."""
    limits = [(1 << 63) - 1]
    for folder in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(ValueError):  # "max"
                limits.append(int(_text(folder / name)))
    return min(limits)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups, from the mounted group down to the group of this process.

    On a system with both versions, these are the folders of both; the folders of the version without the controller
    hold no files of limits.
    """
    paths = dict(_group_paths(root))
    for line in _text(root / "proc/self/mountinfo").splitlines():
        place, _, kind = line.partition(" - ")
        fields, (file_system, *options) = place.split(), kind.split() or [""]
        of_version_1 = file_system == "cgroup" and controller in options[-1].split(",")
        path = paths.get(controller if of_version_1 else "")
        if path is None or len(fields) < 5 or not (of_version_1 or file_system == "cgroup2"):
            continue
        folder = root / fields[4].lstrip("/")
        yield folder
        for name in _below(fields[3], path):
            folder = folder / name
            yield folder


def _below(mounted: str, path: str) -> tuple[str, ...]:
    """Return the names on the path from the mounted group to the group of this process.

    The path is empty where the group lies outside the mount: a container may see the path of its group on the host,
    which is mounted only in part.
    """
    with suppress(ValueError):
        names = PurePosixPath(path).relative_to(mounted).parts
        return names if ".." not in names else ()
    return ()


def _group_paths(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each controller with the path of this process's group; the controller of version 2 is ""."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            yield controller, path


def _affinity(root: Path) -> int:
    """Return the number of cores on which the system may schedule this process (`taskset`, cpusets)."""
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
    """Return the text of a file of the system; "" where the file does not exist or can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def may_have_gpu() -> bool:
    """Return whether this machine has the driver of an NVIDIA GPU, without loading a library that takes seconds."""
    return Path("/proc/driver/nvidia/version").exists()
