"""The convolutions and dense layers of a network alone: what they take is the floor under any step of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from saccade.recipes import ComputeDtype


@dataclass(frozen=True)
class Product:
    """A convolution or a dense layer, as far as its arithmetic goes.

    Attributes:
        input_shape: [height, width, channels] or [channels], of one image.
        kernel_shape: of its weights.
        strides: of a convolution.
        padding: of a convolution, "SAME" or "VALID".
        learns: whether training needs the gradient of its kernel.
        passes_back: whether training needs the gradient of its input, because something before it learns.
    """

    input_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    strides: tuple[int, int]
    padding: str
    learns: bool
    passes_back: bool


def products_of(network: keras.Model) -> list[Product]:
    """The convolutions and dense layers of a network, in order, those of networks within it included."""
    products = []
    learning_before = False
    for layer in _layers_of(network):
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            learns = any(variable is layer.kernel for variable in layer.trainable_variables)
            products.append(
                Product(
                    input_shape=tuple(layer.input.shape[1:]),
                    kernel_shape=tuple(layer.kernel.shape),
                    strides=tuple(getattr(layer, "strides", (1, 1))),
                    padding=getattr(layer, "padding", "valid").upper(),
                    learns=learns,
                    passes_back=learning_before,
                )
            )
        learning_before = learning_before or bool(layer.trainable_variables)
    return products


def training_pass(products: Sequence[Product], batch: int, dtype: ComputeDtype) -> Callable[[], object]:
    """A function that does every product of a training step, forward and backward, for a batch."""
    return _prepared(products, batch, dtype, backward=True)


def forward_pass(products: Sequence[Product], batch: int, dtype: ComputeDtype) -> Callable[[], object]:
    """A function that does every product of a prediction for a batch."""
    return _prepared(products, batch, dtype, backward=False)


def seconds_in_turn(works: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Times several pieces of work in turn, so that a change of the machine's speed meets all alike.

    Args:
        works: each is done once beforehand, which compiles it.
        repeats: how often each is timed.

    Returns:
        For each piece of work its `repeats` wall-clock times, in seconds.
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
            # One product after the other, as in a network; its two gradients may share the cores, as there.
            with tf.control_dependencies(done[-1:]):
                results = _with_gradients(product, *tensors) if backward else [_multiply(product, *tensors[:2])]
                # A number of each result is used, else the graph optimizer would leave the product out.
                done.append(tf.add_n([tf.reshape(result, [-1])[0] for result in results]))
        return tf.add_n(done)

    return lambda: step(inputs, kernels, gradients).numpy()


def _with_gradients(product: Product, x: Any, kernel: Any, gradient: Any) -> list[Any]:
    wanted = [kernel] * product.learns + [x] * product.passes_back
    with tf.GradientTape() as tape:
        tape.watch(wanted)
        result = _multiply(product, x, kernel)
    return [result, *(tape.gradient(result, wanted, output_gradients=gradient) if wanted else [])]


def _multiply(product: Product, x: Any, kernel: Any) -> Any:
    if len(product.kernel_shape) == 2:
        return tf.matmul(x, kernel)
    return tf.nn.conv2d(x, kernel, product.strides, product.padding)


def _noise(shape: Sequence[int], dtype: ComputeDtype) -> Any:
    return tf.cast(tf.random.normal(shape, stddev=0.05), dtype)
