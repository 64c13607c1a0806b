"""Environment of a training: machine, versions and peak memory."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from saccade.machine import memory_bytes, usable_cores
from saccade.recipes import ComputeDtype
from saccade.runs.records import Environment
from saccade.tensorflow_kernels import kernels_in_use

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "numpy", "onnxruntime", "pillow", "safetensors", "scikit-learn")
"""Packages that decide the bits of a training."""


def read_environment(compute_dtype: ComputeDtype = "float32") -> Environment:
    """Return the versions and the machine of this process. Loads Keras, for the backend and its accelerators.

    Args:
        compute_dtype: dtype of the training.
    """
    import keras

    return Environment(
        saccade=version("saccade"),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        backend=keras.backend.backend(),
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=usable_cores(),
        memory_mb=memory_bytes() // 10**6,
        accelerators=_accelerators(),
        compute_dtype=compute_dtype,
        kernels=kernels_in_use(),
    )


def peak_memory_mb() -> int | None:
    """Return the peak memory of this process without its decoding processes, in megabytes (10^6 bytes).

    Returns:
        None where the system does not measure it.
    """
    if not resource:
        return None
    kilobytes_or_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes_or_bytes * (1 if sys.platform == "darwin" else 1024) // 10**6


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _accelerators() -> list[str]:
    import keras

    if keras.backend.backend() != "tensorflow":
        return []
    import tensorflow

    return [device.name for device in tensorflow.config.list_physical_devices("GPU")]
