"""Rounding of the weights of a network to eight bits, with compensation of the rounding errors.

Rounding each weight to the nearest of 255 values costs EfficientNet-Lite0 many points of accuracy: the weights of an
output cancel each other, so that small errors of single weights remain as a large error of the output. Here the weights
of an output that are rounded later compensate the errors of those that were rounded before, so that the outputs for
calibration images change least. The bias takes the mean error that remains.

Sources: E. Frantar, S. Ashkboos, T. Hoefler and D. Alistarh, "GPTQ: Accurate post-training quantization for generative
pre-trained transformers", ICLR 2023; M. Nagel et al., "Data-free quantization through weight equalization and bias
correction", ICCV 2019.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from saccade.models.keras_graph import calls_in_order, is_functional

_LARGEST = 127  # eight-bit weight of the largest absolute value; converters use -127 to 127
_STEPS = 255  # of an eight-bit activation
_MAX_HALVINGS = 20  # of the square of the range of the weights
_IMAGES = 64  # calibration images
_MIN_ROWS, _MAX_ROWS, _ROWS_PER_INPUT = 1024, 4096, 8  # sampled output positions of a layer
_DAMPING = 0.01  # share of the mean square of the inputs
_BLOCK = 64  # inputs of one block


def round_to_int8(model: keras.Model, images: NDArray[np.uint8]) -> keras.Model:
    """Return a copy of a folded model with rounded weights and corrected biases.

    Each kernel consists of multiples of 1/127 of the largest weight of its output channel, which does not change. So a
    converter to eight bits with one scale per channel stores the kernels exactly.

    Args:
        model: result of `fold_normalization`; a model with nested models is returned unchanged.
        images: calibration images, uint8 [n, height, width, 3]; evenly spaced ones are used.
    """
    if not is_functional(model) or any(isinstance(layer, keras.Model) for layer in model.layers):
        return model
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    spaced = np.linspace(0, len(images) - 1, min(_IMAGES, len(images))).astype(np.int64)
    pixels = keras.ops.convert_to_tensor(images[spaced], "float32")
    calls = calls_in_order(model)
    uses = Counter(id(tensor) for call in calls for tensor in call.input_tensors)
    exact: dict[int, Any] = {id(model.inputs[0]): pixels}
    rounded: dict[int, Any] = {id(model.inputs[0]): pixels}
    for call in calls:
        layer, rounded_layer = call.operation, copy.get_layer(call.operation.name)
        if _is_supported(layer):
            inputs = (keras.ops.convert_to_numpy(values[id(call.input_tensors[0])]) for values in (exact, rounded))
            rounded_layer.set_weights(_rounded_weights(layer, *inputs))
        for values, operation in ((exact, layer), (rounded, rounded_layer)):
            arguments, options = call.arguments.fill_in(values)
            values[id(call.outputs[0])] = operation(*arguments, **options)
        for tensor in call.input_tensors:
            uses[id(tensor)] -= 1
            if not uses[id(tensor)]:  # activations of large images need much memory
                del exact[id(tensor)], rounded[id(tensor)]
    return copy


def _is_supported(layer: keras.Operation) -> bool:
    if isinstance(layer, layers.Dense):
        return len(layer.input.shape) == 2
    if isinstance(layer, layers.DepthwiseConv2D):
        return tuple(layer.dilation_rate) == (1, 1) and int(layer.depth_multiplier) == 1
    return isinstance(layer, layers.Conv2D) and tuple(layer.dilation_rate) == (1, 1) and int(layer.groups) == 1


def _rounded_weights(
    layer: keras.Layer, exact: NDArray[np.float32], rounded: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Return kernel and bias for the inputs of the rounded model that change the outputs of the layer least.

    Args:
        layer: layer with the exact weights.
        exact: inputs of the layer in the exact model, [n, ..., channels].
        rounded: inputs of the layer in the rounded model, of the same shape.
    """
    kernel, bias = layer.get_weights()
    depthwise, dense = isinstance(layer, layers.DepthwiseConv2D), isinstance(layer, layers.Dense)
    # Matrices [groups, inputs, outputs]: a depthwise convolution has a group with one output for each channel.
    matrix = kernel.reshape(-1, kernel.shape[2]).T[:, :, None] if depthwise else kernel.reshape(1, -1, kernel.shape[-1])
    exact_rows = _input_rows(layer, exact, matrix.shape[1])
    rows = _input_rows(layer, rounded, matrix.shape[1])
    new = round_matrix(_clipped(matrix, rows) if dense else matrix, rows)
    if dense:  # the median, because a limited weight changes the outputs of few images by much
        error = np.median(exact_rows @ matrix - rows @ new, axis=1)
    else:
        error = exact_rows.mean(axis=1)[:, None] @ matrix - rows.mean(axis=1)[:, None] @ new
    weights = (new[:, :, 0].T if depthwise else new).reshape(kernel.shape), bias + error.reshape(bias.shape)
    return [np.asarray(weight, np.float32) for weight in weights]


def _clipped(matrix: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Limit the weights of each output to the range for which rounding changes the output least, [1, inputs, outputs].

    A head on standardized features has huge weights for features that hardly vary. In the range of these weights, no
    precision would remain for the other weights, and the rounding errors of these features would be multiplied. So a
    weight first shrinks by the share of the variance of its input that is not noise.
    """
    noise = (np.ptp(rows) / _STEPS) ** 2 / 12  # variance of the rounding errors of the inputs
    variance = np.var(rows[0], axis=0)
    shrunk = matrix * (variance / (variance + noise + np.finfo(np.float32).tiny))[None, :, None]
    largest = np.abs(shrunk).max(axis=1)
    best, least = largest, np.full(largest.shape, np.inf)
    for limit in (largest * 2 ** (-halvings / 2) for halvings in range(_MAX_HALVINGS)):
        step = np.maximum(limit / _LARGEST, np.finfo(np.float32).tiny)
        rounded = np.clip(np.rint(shrunk[0] / step), -_LARGEST, _LARGEST) * step
        error = (np.var(rows[0] @ (rounded - matrix[0]), axis=0) + noise * np.square(rounded).sum(axis=0))[None]
        best, least = np.where(error < least, limit, best), np.minimum(error, least)
    return np.asarray(shrunk.clip(-best[:, None], best[:, None]), np.float32)


def _input_rows(layer: keras.Layer, values: NDArray[np.float32], inputs: int) -> NDArray[np.float32]:
    """Return the inputs of a layer for sampled output positions, [groups, rows, inputs]; equal positions each time."""
    if isinstance(layer, layers.Dense):
        return values[None]
    windows = np.lib.stride_tricks.sliding_window_view(_padded(layer, values), layer.kernel_size, axis=(1, 2))
    windows = windows[:, :: layer.strides[0], :: layer.strides[1]]  # [n, rows, columns, channels, height, width]
    positions = windows.shape[:3]
    n = min(math.prod(positions), max(_MIN_ROWS, min(_MAX_ROWS, _ROWS_PER_INPUT * inputs)))
    chosen = np.random.default_rng(0).choice(math.prod(positions), n, replace=False)
    sampled = windows[np.unravel_index(chosen, positions)]  # [sampled positions, channels, height, width]
    if isinstance(layer, layers.DepthwiseConv2D):
        return sampled.reshape(*sampled.shape[:2], -1).swapaxes(0, 1)
    return sampled.transpose(0, 2, 3, 1).reshape(1, n, -1)


def _padded(layer: keras.Layer, values: NDArray[np.float32]) -> NDArray[np.float32]:
    if layer.padding == "valid":
        return values
    sides = zip(values.shape[1:3], layer.kernel_size, layer.strides, strict=True)
    missing = [max(0, (-(-side // stride) - 1) * stride + width - side) for side, width, stride in sides]
    return np.pad(values, ((0, 0), *((part // 2, part - part // 2) for part in missing), (0, 0)))


def round_matrix(matrix: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Round weights to multiples of 1/127 of the largest weight of each output, with little change of the outputs.

    Args:
        matrix: weights, [groups, inputs, outputs].
        rows: inputs, [groups, rows, inputs].

    Returns:
        Rounded weights, [groups, inputs, outputs]; the largest weight of each output is unchanged.
    """
    n, size = rows.shape[1:]
    scale = np.abs(matrix).max(axis=1).astype(np.float64) / _LARGEST
    scale[scale == 0] = 1
    is_largest = np.arange(size)[:, None] == np.abs(matrix).argmax(axis=1)[:, None]
    fixed = np.where(is_largest, np.copysign(_LARGEST, matrix), 0)
    if n < 2 * size:  # too few inputs determine the compensation
        return np.asarray(np.rint(matrix / scale[:, None]) * scale[:, None], np.float64)
    # The inputs of the largest squares are rounded first, while many others can compensate their errors.
    order = np.argsort(-np.square(rows).sum(axis=1), axis=1)[:, :, None]
    left = np.take_along_axis(matrix.astype(np.float64), order, axis=1)
    fixed = np.take_along_axis(fixed, order, axis=1)
    factors = _compensation(np.take_along_axis(rows, order.swapaxes(1, 2), axis=2))
    rounded = np.empty_like(left)
    for start in range(0, size, _BLOCK):
        block = slice(start, start + _BLOCK)
        errors = _round_block(left[:, block], rounded[:, block], scale, fixed[:, block], factors[:, block, block])
        left[:, start + _BLOCK :] -= factors[:, block, start + _BLOCK :].swapaxes(1, 2) @ errors
    result = np.empty_like(rounded)
    np.put_along_axis(result, order, rounded, axis=1)
    return result


def _compensation(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the upper Cholesky factor of the inverse of the inputs' second moments, [groups, inputs, inputs]."""
    moments = (rows.swapaxes(1, 2) @ rows).astype(np.float64)
    damping = _DAMPING * np.trace(moments, axis1=1, axis2=2) / moments.shape[1] + 1e-6
    inverse = np.linalg.inv(moments + damping[:, None, None] * np.eye(moments.shape[1]))
    factors: NDArray[np.float64] = np.linalg.cholesky(inverse).swapaxes(1, 2)
    return factors


def _round_block(
    left: NDArray[np.float64],
    rounded: NDArray[np.float64],
    scale: NDArray[np.float64],
    fixed: NDArray[np.float32],
    factors: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Round the weights of a block, one input after another, into `rounded`; return the errors to compensate.

    Args:
        left: weights with the compensation so far, [groups, inputs, outputs]; changed.
        rounded: array for the rounded weights, of the same shape.
        scale: step of each output, [groups, outputs].
        fixed: steps of the largest weights and 0 elsewhere, of the shape of the weights.
        factors: part of the Cholesky factor, [groups, inputs, inputs].
    """
    errors = np.empty_like(left)
    for i in range(left.shape[1]):
        steps = np.clip(np.rint(left[:, i] / scale), -_LARGEST, _LARGEST)
        rounded[:, i] = np.where(fixed[:, i] != 0, fixed[:, i], steps) * scale
        errors[:, i] = (left[:, i] - rounded[:, i]) / factors[:, i, i, None]
        left[:, i + 1 :] -= factors[:, i, i + 1 :, None] * errors[:, i, None]
    return errors
