"""Process that measures the speed of this machine with its settings of TensorFlow, and prints it as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from saccade.tensorflow_kernels import kernels_in_use
from saccade.typed_json import to_json

if TYPE_CHECKING:
    from saccade.recipes import ComputeDtype

_SECONDS = 1.0
_MIN_CALLS = 3
_SIDE = 224  # of photographs, in pixels


@dataclass(frozen=True)
class WorkRate:
    """Speed of one work.

    Attributes:
        work: what is computed.
        unit: unit of the speed.
        library: library that computes; None for the kernels of TensorFlow.
        rate: units a second; None where TensorFlow can't compute this with these kernels.
    """

    work: str
    unit: str
    library: str | None
    rate: float | None


@dataclass(frozen=True)
class Rates:
    """Speeds that a process has measured."""

    rates: tuple[WorkRate, ...]


def main() -> None:
    """Measure, and print the rates as one line of JSON."""
    from saccade.keras_loading import load_keras_quietly, this_process_is_our_own

    this_process_is_our_own()
    load_keras_quietly()
    rates = (
        *(_convolution(dtype) for dtype in ("float32", "bfloat16")),
        _step_of_fast(),
        _step_of_photo(),
        # By ONNX Runtime, whatever the kernels of TensorFlow: one of the two processes measures it.
        *((_features(),) if kernels_in_use() == "oneDNN" else ()),
    )
    print(to_json(Rates(rates)))  # noqa: T201 - the response of this process


def _convolution(dtype: ComputeDtype) -> WorkRate:
    """Measure a 3x3 convolution with its gradients."""
    import tensorflow as tf

    from saccade.models.precision import CONVOLUTION_OPERATIONS, timed_convolution

    rate = None
    with suppress(tf.errors.OpError):
        rate = CONVOLUTION_OPERATIONS / 1e9 / _seconds(timed_convolution(dtype))
    return WorkRate(f"3x3 convolution and its gradients, {dtype}", "GFLOP/s", None, rate)


def _step_of_fast() -> WorkRate:
    """Measure a training step of the recipe `fast` on a fifth of its batch, at its last image size."""
    from saccade.augmentation.batches import Batch
    from saccade.models.build import build_network
    from saccade.models.training_model import make_training_model
    from saccade.recipes import get_recipe
    from saccade.training.optimizers.build import build_optimizer
    from saccade.training.step import TrainingStep

    recipe = get_recipe("fast").with_settings({"compute": "float32", "initial_scale": 1.0, "final_scale": 1.0})
    n, (height, width) = recipe.batch_size // 5, get_recipe("fast").final_size(32, 32)
    network = make_training_model(build_network(recipe, height=height, width=width, classes=10), "float32")
    step = TrainingStep(network, recipe, build_optimizer(recipe, n), (height, width), None)
    images = np.random.default_rng(0).integers(0, 256, (n, height, width, 3), np.uint8)
    batch = Batch(images, np.arange(n, dtype=np.int64) % 10, None)
    rate = n / _seconds(lambda: step(batch, 0.01))
    return WorkRate(f"training step of fast, {width}x{height} pixels, float32", "images/s", None, rate)


def _step_of_photo() -> WorkRate:
    """Measure a training step of the recipe `photo`: its upper layers, on kept outputs."""
    from saccade.augmentation.batches import Batch
    from saccade.models.build import build_network, freeze_lower_layers
    from saccade.models.frozen_part import cut_layer, upper_part
    from saccade.models.training_model import make_training_model
    from saccade.recipes import get_recipe
    from saccade.training.optimizers.build import build_optimizer
    from saccade.training.transfer_learning.upper_training import UpperStep

    recipe = get_recipe("photo")
    network = build_network(recipe, height=_SIDE, width=_SIDE, classes=10)
    freeze_lower_layers(network, recipe)
    trained = make_training_model(network, "float32")
    upper = upper_part(trained, cut_layer(trained))
    n = recipe.batch_size
    step = UpperStep(upper, recipe, build_optimizer(recipe, n), None)
    outputs = np.random.default_rng(0).random((n, *upper.input_shape[1:]), np.float32)
    batch = Batch(outputs, np.arange(n, dtype=np.int64) % 10, None)
    rate = n / _seconds(lambda: step(batch, 0.0001))
    return WorkRate(f"training step of photo, {_SIDE}x{_SIDE} pixels, float32", "images/s", None, rate)


def _features() -> WorkRate:
    """Measure the features of photographs by ONNX Runtime, as trainings, `audit` and `similar` compute them."""
    from saccade.machine import usable_cores
    from saccade.models.build import build_network
    from saccade.models.head import without_head
    from saccade.models.onnx.to_onnx import to_onnx
    from saccade.onnx_session import open_session
    from saccade.recipes import get_recipe
    from saccade.training.transfer_learning.features import BATCH, in_parallel

    network = without_head(build_network(get_recipe("photo"), height=_SIDE, width=_SIDE, classes=10))
    session = open_session(to_onnx(network, {}), threads=1)
    pixels = np.random.default_rng(0).random((4 * BATCH * usable_cores(), _SIDE, _SIDE, 3), np.float32)

    def compute() -> None:
        for _ in in_parallel(session.run, pixels, lambda _: None):
            pass

    rate = len(pixels) / _seconds(compute)
    return WorkRate(f"features of EfficientNetLite0, {_SIDE}x{_SIDE} pixels", "images/s", "ONNX Runtime", rate)


def _seconds(function: Callable[[], object]) -> float:
    """Return the median seconds of a call, after a first call that is not measured."""
    function()
    times: list[float] = []
    while len(times) < _MIN_CALLS or sum(times) < _SECONDS:
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return median(times)


if __name__ == "__main__":
    main()
