"""Convolutions and dense layers of a network alone: a lower bound of the time of a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from saccade.keras_loading import load_keras_quietly
from saccade.recipes import ComputeDtype

# As in a command: it chooses the kernels of TensorFlow, which reads the choice when it is imported.
load_keras_quietly()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402


@dataclass(frozen=True)
class Product:
    """Shapes of a convolution or a dense layer.

    Attributes:
        input_shape: shape of the input of one image, [height, width, channels] or [channels].
        kernel_shape: shape of the kernel.
        strides: strides of a convolution.
        padding: padding of a convolution, "SAME" or "VALID".
        needs_kernel_gradient: whether training computes the gradient of the kernel.
        needs_input_gradient: whether training computes the gradient of the input, because an earlier layer is trained.
    """

    input_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    strides: tuple[int, int]
    padding: str
    needs_kernel_gradient: bool
    needs_input_gradient: bool


def products_of(network: keras.Model) -> list[Product]:
    """Return the convolutions and dense layers of a network in order, including those of nested networks."""
    products = []
    trained_before = False
    for layer in _layers_of(network):
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            needs_gradient = any(variable is layer.kernel for variable in layer.trainable_variables)
            products.append(
                Product(
                    input_shape=tuple(layer.input.shape[1:]),
                    kernel_shape=tuple(layer.kernel.shape),
                    strides=tuple(getattr(layer, "strides", (1, 1))),
                    padding=getattr(layer, "padding", "valid").upper(),
                    needs_kernel_gradient=needs_gradient,
                    needs_input_gradient=trained_before,
                )
            )
        trained_before = trained_before or bool(layer.trainable_variables)
    return products


def training_pass(products: Sequence[Product], batch: int, dtype: ComputeDtype) -> Callable[[], object]:
    """Return a function that computes all products of a training step for a batch, forward and backward."""
    return _prepared(products, batch, dtype, backward=True)


def forward_pass(products: Sequence[Product], batch: int, dtype: ComputeDtype) -> Callable[[], object]:
    """Return a function that computes all products of a prediction for a batch."""
    return _prepared(products, batch, dtype, backward=False)


def seconds_in_turn(works: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Time several functions in turn, so that changes of the speed of the machine affect all of them.

    Args:
        works: functions; each is called once before the measurement, which compiles it.
        repeats: number of timed calls of each function.

    Returns:
        Wall-clock times of each function, [functions][repeats], in seconds.
    """
    for work in works:
        work()
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
    return taken


def _layers_of(network: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers_of(layer)
        else:
            yield layer


def _prepared(products: Sequence[Product], batch: int, dtype: ComputeDtype, *, backward: bool) -> Callable[[], object]:
    inputs = [_noise((batch, *product.input_shape), dtype) for product in products]
    kernels = [_noise(product.kernel_shape, dtype) for product in products]
    shapes = [_multiply(product, x, w).shape for product, x, w in zip(products, inputs, kernels, strict=True)]
    gradients = [_noise(shape, dtype) for shape in shapes]

    @tf.function(jit_compile=False)  # type: ignore[untyped-decorator]  # TensorFlow has no type hints
    def step(inputs: Sequence[Any], kernels: Sequence[Any], gradients: Sequence[Any]) -> Any:
        done: list[Any] = []
        for product, *tensors in zip(products, inputs, kernels, gradients, strict=True):
            # One product after another, as in a network; the two gradients of a product may run in parallel.
            with tf.control_dependencies(done[-1:]):
                results = _with_gradients(product, *tensors) if backward else [_multiply(product, *tensors[:2])]
                # One number of each result is used, so that the graph optimizer keeps the product.
                done.append(tf.add_n([tf.reshape(result, [-1])[0] for result in results]))
        return tf.add_n(done)

    return lambda: step(inputs, kernels, gradients).numpy()


def _with_gradients(product: Product, x: Any, kernel: Any, gradient: Any) -> list[Any]:
    sources = [kernel] * product.needs_kernel_gradient + [x] * product.needs_input_gradient
    with tf.GradientTape() as tape:
        tape.watch(sources)
        result = _multiply(product, x, kernel)
    return [result, *(tape.gradient(result, sources, output_gradients=gradient) if sources else [])]


def _multiply(product: Product, x: Any, kernel: Any) -> Any:
    if len(product.kernel_shape) == 2:
        return tf.matmul(x, kernel)
    return tf.nn.conv2d(x, kernel, product.strides, product.padding)


def _noise(shape: Sequence[int], dtype: ComputeDtype) -> Any:
    return tf.cast(tf.random.normal(shape, stddev=0.05), dtype)
