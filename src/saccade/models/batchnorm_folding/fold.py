"""Batch-normalization folding: an inference network whose normalization is part of the weights.

At inference, batch normalization is scale * x + shift with constants per channel; so is the rescaling of pixels. Scale
and shift are propagated through the network until a layer absorbs them. The outputs stay equal up to rounding errors:

- a convolution or dense layer after the normalization absorbs scale and shift; with zero padding only the scale,
  because the padding is not shifted;
- a linear convolution or dense layer before the normalization absorbs scale and shift; a layer with ReLU absorbs a
  non-negative scale, because s relu(x) = relu(s x) for s >= 0;
- scale and shift pass through average pooling, and through max pooling if no scale is negative;
- a scale and shift that no layer absorbs remain as an affine layer.

The products are computed in float64 and rounded to float32 at the end.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from saccade.models.batchnorm_folding.folded_graph import FoldedGraph, Value
from saccade.models.keras_graph import calls_in_order, is_functional


def fold_normalization(model: keras.Model) -> keras.Model:
    """Return a copy of a model for inference, with normalization folded into the weights.

    Args:
        model: functional or sequential model; nested models are folded too.

    Returns:
        Float32 model with the same inputs and outputs and with its own weights: later changes of the weights of
        `model` do not reach the copy, and the copy is not meant to be trained. A model that is neither functional nor
        sequential is returned unchanged.
    """
    if not isinstance(model, keras.Sequential) and not is_functional(model):
        return model
    graph = FoldedGraph()
    inputs = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=f"input_{number}")
        for number, tensor in enumerate(model.inputs)
    ]
    values = _run(graph, model, [Value(tensor) for tensor in inputs])
    outputs = [graph.materialize(value) for value in values]
    # A model with one tensor has that tensor as its structure, not a list.
    folded = keras.Model(*(ends if len(ends) > 1 else ends[0] for ends in (inputs, outputs)), name="folded")
    # After a training that diverged, the weights may overflow here; the outputs are then NaN, like those of the model.
    with np.errstate(over="ignore", invalid="ignore"):
        graph.fill()
    return folded


def refold(folded: keras.Model, model: keras.Model) -> keras.Model:
    """Update a folded model to the current weights of its model, without compiling again if the layers are equal.

    The layers differ only if other scales and shifts remain unfolded, for example after a scale became negative.

    Args:
        folded: earlier result of `fold_normalization` for the model; its weights are changed.
        model: functional or sequential model.

    Returns:
        `folded`, or a new folded model if the layers differ.
    """
    new = fold_normalization(model)
    if new.get_config() != folded.get_config():
        return new
    folded.set_weights(new.get_weights())
    return folded


def _run(graph: FoldedGraph, model: keras.Model, inputs: Sequence[Value]) -> list[Value]:
    """Return the values of a model's outputs, given the values of its inputs."""
    if isinstance(model, keras.Sequential):
        values = list(inputs)
        for layer in model.layers:
            values = _apply(graph, layer, values, {})
        return values
    calls = calls_in_order(model)
    uses = Counter(id(tensor) for call in calls for tensor in call.input_tensors)
    uses.update(id(tensor) for tensor in model.outputs)
    known: dict[int, Value] = {}

    def store(tensors: Sequence[keras.KerasTensor], values: Sequence[Value]) -> None:
        for tensor, value in zip(tensors, values, strict=True):
            # A value with several uses is materialized: absorbing it in one use would change the other uses.
            known[id(tensor)] = Value(graph.materialize(value)) if uses[id(tensor)] > 1 else value

    store(model.inputs, inputs)
    for call in calls:
        store(call.outputs, _apply(graph, call.operation, *call.arguments.fill_in(known)))
    return [known[id(tensor)] for tensor in model.outputs]


def _apply(graph: FoldedGraph, operation: keras.Operation, arguments: Any, options: Any) -> list[Value]:
    """Return the values of the outputs of one layer or operation."""
    # A layer that the network itself calls with training=True keeps its behavior of training.
    if arguments and not options.get("training"):
        for kinds, fold in _FOLDS:
            if isinstance(operation, kinds) and (value := fold(graph, operation, arguments[0])) is not None:
                return [value]
    return graph.add_copy(operation, arguments, options, fold_normalization)


# Functions by type of layer: each returns the value of the layer's output, or None for settings that it does not
# support.


def _normalization(_: FoldedGraph, layer: layers.BatchNormalization, value: Value) -> Value | None:
    if layer.axis not in (-1, len(value.tensor.shape) - 1):
        return None
    scale = 1 / np.sqrt(_float64(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        scale *= _float64(layer.gamma)
    shift = -scale * _float64(layer.moving_mean)
    if layer.center:
        shift += _float64(layer.beta)
    return value.then(scale, shift)


def _standardization(_: FoldedGraph, layer: layers.Normalization, value: Value) -> Value | None:
    if layer.input_mean is None or layer.invert or tuple(layer.axis) not in ((-1,), (len(value.tensor.shape) - 1,)):
        return None
    scale = 1 / np.maximum(np.sqrt(np.asarray(layer.input_variance, np.float64)), keras.config.epsilon())
    return value.then(scale, -scale * np.asarray(layer.input_mean, np.float64))


def _rescaling(_: FoldedGraph, layer: layers.Rescaling, value: Value) -> Value | None:
    if np.ndim(layer.scale) or np.ndim(layer.offset) or value.tensor.dtype != "float32":
        return None
    return value.then(layer.scale, layer.offset)


def _dropout(_: FoldedGraph, __: layers.Dropout, value: Value) -> Value:
    return value


def _convolution(graph: FoldedGraph, layer: layers.Conv2D, value: Value) -> Value | None:
    if layer.data_format != "channels_last" or layer.groups > 1:
        return None
    if layer.padding == "same" and value.shifted:
        value = graph.materialize_shift(value)
    return graph.add_weighted(layer, value, *_with_input(layer, value))


def _depthwise(graph: FoldedGraph, layer: layers.DepthwiseConv2D, value: Value) -> Value | None:
    if layer.data_format != "channels_last" or layer.depth_multiplier > 1:
        return None
    if layer.padding == "same" and value.shifted:
        value = graph.materialize_shift(value)
    kernel = keras.ops.convert_to_numpy(layer.kernel)[..., 0]
    bias = keras.ops.convert_to_numpy(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1], np.float32)
    return graph.add_weighted(
        layer, value, kernel * value.scale, bias + value.shift * kernel.sum(axis=(0, 1), dtype=np.float64)
    )


def _zero_padding(graph: FoldedGraph, layer: layers.ZeroPadding2D, value: Value) -> Value | None:
    if layer.data_format != "channels_last":
        return None
    if value.shifted:
        value = graph.materialize_shift(value)
    # The source of the tensor can't absorb anything after this layer: the border is not an output of the source.
    return Value(graph.pass_through(layer, value).tensor, value.scale)


def _dense(graph: FoldedGraph, layer: layers.Dense, value: Value) -> Value:
    return graph.add_weighted(layer, value, *_with_input(layer, value))


def _with_input(layer: keras.Layer, value: Value) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return kernel and bias for `value.tensor` that give the layer's outputs for the value."""
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    bias = keras.ops.convert_to_numpy(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1], np.float32)
    if value.shifted:
        per_input = kernel.sum(axis=tuple(range(kernel.ndim - 2)), dtype=np.float64)
        bias = bias + np.broadcast_to(value.shift, kernel.shape[-2:-1]) @ per_input
    if value.scaled:
        kernel = kernel * np.broadcast_to(value.scale, kernel.shape[-2:-1])[:, None]
    return kernel, bias


def _maximum(graph: FoldedGraph, layer: keras.Layer, value: Value) -> Value | None:
    if layer.data_format != "channels_last":
        return None
    if value.flipped:
        value = Value(graph.materialize(value))
    return graph.pass_through(layer, value, maximum=True)


def _average(graph: FoldedGraph, layer: keras.Layer, value: Value) -> Value | None:
    return graph.pass_through(layer, value) if layer.data_format == "channels_last" else None


def _flatten(graph: FoldedGraph, layer: layers.Flatten, value: Value) -> Value | None:
    *positions, channels = value.tensor.shape[1:]
    if layer.data_format != "channels_last" or None in positions:
        return None
    scale, shift = (
        np.tile(np.broadcast_to(part, channels), math.prod(positions)) for part in (value.scale, value.shift)
    )
    return Value(graph.pass_through(layer, value).tensor, scale, shift)


_FOLDS = (
    (layers.BatchNormalization, _normalization),
    (layers.Normalization, _standardization),
    (layers.Rescaling, _rescaling),
    (layers.Dropout, _dropout),
    (layers.Conv2D, _convolution),
    (layers.DepthwiseConv2D, _depthwise),
    (layers.ZeroPadding2D, _zero_padding),
    (layers.Dense, _dense),
    ((layers.MaxPooling2D, layers.GlobalMaxPooling2D), _maximum),
    ((layers.AveragePooling2D, layers.GlobalAveragePooling2D), _average),
    (layers.Flatten, _flatten),
)


def _float64(variable: keras.Variable) -> NDArray[np.float64]:
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)
