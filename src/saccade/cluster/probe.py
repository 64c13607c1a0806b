"""Probe of a node, a function of Python's own library: it is sent to nodes where Saccade may be missing or another."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

PACKAGES = ("numpy", "onnxruntime", "pillow", "pyarrow")
"""Packages that decide the bits of a prediction, and whose versions all nodes must share."""


def probe(question: dict[str, Any]) -> dict[str, Any]:
    """Return what a node has and sees.

    Args:
        question: `files`, pairs of a path and the size of the file; `token`, path and text of a file that the driver
            wrote, or None; `response`, path of a file to write there, or None; `packages`, names of packages.

    Returns:
        `versions`, by the name of the package; `source`, SHA-256 of the modules of Saccade; `memory`, bytes available;
        `missing`, paths of files that the node can't see as they are; `unwritable`, whether `response` failed.
    """
    return {
        "versions": _versions(question["packages"]),
        "source": _source_digest(),
        "memory": _available_memory(),
        "missing": [path for path, size in question["files"] if _size(path) != size],
        "sees_token": question["token"] is None or _text(question["token"][0]) == question["token"][1],
        "unwritable": question["response"] is not None and not _write(*question["response"]),
    }


def _versions(packages: Sequence[str]) -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in ("saccade", "ray", *packages):
        versions[name] = "missing"
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _source_digest() -> str:
    """Return a hash of the modules of Saccade: two checkouts of one version may differ."""
    found = importlib.util.find_spec("saccade")
    if found is None or not found.submodule_search_locations:
        return "missing"
    root = found.submodule_search_locations[0]
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                path = os.path.join(folder, name)  # noqa: PTH118 - as os.walk
                digest.update(os.path.relpath(path, root).encode())
                with open(path, "rb") as file:  # noqa: PTH123
                    digest.update(file.read())
    return digest.hexdigest()[:12]


def _available_memory() -> int:
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _size(path: bytes) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - bytes
    except OSError:
        return -1


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> bool:
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
    except OSError:
        return False
    return True
