"""Speed of this machine: convolutions, training steps and features, by libraries and numbers of threads.

Each combination is measured in a process of its own, since TensorFlow reads its settings only at its start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from saccade.errors import SaccadeError
from saccade.keras_loading import load_keras_quietly
from saccade.machine import usable_cores
from saccade.progress import counting
from saccade.runs.environment import read_environment
from saccade.runs.records import Environment
from saccade.tensorflow_kernels import VALUES, VARIABLE, Kernels, kernels_in_use
from saccade.training.machine_benchmark_worker import Rates
from saccade.training.machine_precision import fastest_compute_dtype
from saccade.typed_json import from_json

_ONNX_RUNTIME = "ONNX Runtime"

# -P: no imports from the working directory, which may hold any file.
_COMMAND = (sys.executable, "-P", "-m", "saccade.training.machine_benchmark_worker")


@dataclass(frozen=True)
class MachineRow:
    """Speeds of one work.

    Attributes:
        work: what is computed.
        unit: unit of the speeds.
        library: library that computes: "oneDNN", "Eigen" or "ONNX Runtime".
        rates: number of threads -> units a second; None where the library can't compute this.
    """

    work: str
    unit: str
    library: str
    rates: dict[int, float | None]


@dataclass(frozen=True)
class MachineBenchmark:
    """Speed of a machine.

    Attributes:
        environment: processor, memory and versions, with the compute dtype of trainings.
        kernels: kernels of TensorFlow that trainings use.
        load: load of the machine before the measurement: mean number of running processes in a minute; None: unknown.
        rows: measured speeds.
    """

    environment: Environment
    kernels: Kernels
    load: float | None
    rows: tuple[MachineRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the benchmark as JSON."""
        return {
            "environment": self.environment.model_dump(),
            "kernels": self.kernels,
            "load": self.load,
            "rows": [
                {"work": row.work, "unit": row.unit, "library": row.library, "threads": threads, "rate": rate}
                for row in self.rows
                for threads, rate in row.rates.items()
            ],
        }


def benchmark_machine(*, progress: bool = False) -> MachineBenchmark:
    """Measure this machine, with one thread and with all cores, in about a minute.

    Args:
        progress: whether to show a progress bar on stderr.

    Raises:
        SaccadeError: a measuring process failed.
    """
    measured: dict[tuple[str, str, str], dict[int, float | None]] = {}
    threads = sorted({1, usable_cores()})
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # not on Windows
    settings = [(kernels, number) for number in threads for kernels in VALUES]
    with counting("measuring", total=len(settings), unit="settings", shown=progress) as bar:
        for kernels, number in settings:
            for work, unit, library, rate in _rates_of(kernels, number):
                measured.setdefault((work, unit, library), {})[number] = rate
            bar.update(1)
    load_keras_quietly()
    works = list(dict.fromkeys(work for work, _, _ in sorted(measured, key=lambda key: key[2] == _ONNX_RUNTIME)))
    return MachineBenchmark(
        read_environment(fastest_compute_dtype()),
        kernels_in_use(),
        load,
        # The libraries of one work stand together.
        tuple(MachineRow(*key, measured[key]) for key in sorted(measured, key=lambda key: works.index(key[0]))),
    )


def _rates_of(kernels: Kernels, threads: int) -> Iterator[tuple[str, str, str, float | None]]:
    """Yield work, unit, library and rate of each measurement in a process with these settings."""
    environment = os.environ | {"SACCADE_THREADS": str(threads), VARIABLE: VALUES[kernels]}
    done = subprocess.run(_COMMAND, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False)  # noqa: S603
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise SaccadeError("the speed of this machine could not be measured", found=lines[-1] if lines else None)
    for rate in from_json(Rates, done.stdout.splitlines()[-1]).rates:
        yield rate.work, rate.unit, rate.library or kernels, rate.rate
