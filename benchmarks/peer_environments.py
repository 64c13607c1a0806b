"""Virtual environments of the peers, and the variables that make PyTorch faster."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184"}
"""Environment variables: glibc keeps freed memory, or each new array would again be filled with zeros page by page."""


def command_of(python: Path, program: str, job: Path) -> list[str]:
    """Return the command that starts a program of the folder `peers` with the variables above."""
    variables = [f"{name}={value}" for name, value in ALLOCATOR.items()]
    # `env` sets the variables for the peer alone.
    return ["env", *variables, str(python), str(Path(__file__).with_name("peers") / program), str(job)]


def make_environment(folder: Path, packages: Sequence[str]) -> Path:
    """Make a virtual environment with the packages, unless it is there, and return its Python."""
    python, finished = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join(packages) + "\n"
    if not finished.exists() or finished.read_text(encoding="utf-8") != wanted:
        print(f"making the environment {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        finished.write_text(wanted, encoding="utf-8")
    return python
