"""Folding: a network for prediction alone, in which normalization has become part of the weights.

In prediction a batch normalization is scale * x + shift, with numbers per channel that are known beforehand, and so is
a rescaling of pixels. Scale and shift are carried along the network until a layer takes them up without changing the
answer but for rounding:

- a convolution or dense layer behind them takes both; where zeros are padded the scale alone, because the padding is
  not shifted;
- a linear convolution or dense layer before them takes both; one that ends in a rectifier takes a scale that is
  nowhere negative, because s relu(x) = relu(s x) for s >= 0;
- average pooling lets both pass, max pooling where no scale is negative;
- what nothing takes up remains as one multiplication and addition.

The numbers are multiplied in float64 and rounded to float32 at the end.
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
    """A copy of a model for prediction, faster by its normalization layers.

    Args:
        model: functional or sequential; models within it are folded too.

    Returns:
        A float32 model of the same inputs and outputs, with weights of its own: it does not follow when those of the
        model change, and training it makes no sense. A model that is neither functional nor sequential is given back
        itself.
    """
    if not isinstance(model, keras.Sequential) and not is_functional(model):
        return model
    graph = FoldedGraph()
    inputs = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=f"input_{number}")
        for number, tensor in enumerate(model.inputs)
    ]
    values = _run(graph, model, [Value(tensor) for tensor in inputs])
    outputs = [graph.settled(value) for value in values]
    # A list of one tensor would be another structure than the model has.
    folded = keras.Model(*(ends if len(ends) > 1 else ends[0] for ends in (inputs, outputs)), name="folded")
    # Of a training that diverged, the weights overflow here; the answers are then no numbers, as the model's own.
    with np.errstate(over="ignore", invalid="ignore"):
        graph.fill()
    return folded


def refold(folded: keras.Model, model: keras.Model) -> keras.Model:
    """The folded model with the model's present weights, without being compiled again if its layers stay the same.

    They change only with what remains unfolded, for instance when a scale becomes negative.

    Args:
        folded: what `fold_normalization` once made of the model; its weights are changed.
        model: functional or sequential.

    Returns:
        `folded`, or a new one where its layers no longer do.
    """
    again = fold_normalization(model)
    if again.get_config() != folded.get_config():
        return again
    folded.set_weights(again.get_weights())
    return folded


def _run(graph: FoldedGraph, model: keras.Model, inputs: Sequence[Value]) -> list[Value]:
    """What stands for a model's outputs when these values stand for its inputs."""
    if isinstance(model, keras.Sequential):
        values = list(inputs)
        for layer in model.layers:
            values = _apply(graph, layer, values, {})
        return values
    calls = calls_in_order(model)
    uses = Counter(id(tensor) for call in calls for tensor in call.input_tensors)
    uses.update(id(tensor) for tensor in model.outputs)
    known: dict[int, Value] = {}

    def learn(tensors: Sequence[keras.KerasTensor], values: Sequence[Value]) -> None:
        for tensor, value in zip(tensors, values, strict=True):
            # What has several uses is settled once for all: no use may change the weights behind the others' back.
            known[id(tensor)] = Value(graph.settled(value)) if uses[id(tensor)] > 1 else value

    learn(model.inputs, inputs)
    for call in calls:
        learn(call.outputs, _apply(graph, call.operation, *call.arguments.fill_in(known)))
    return [known[id(tensor)] for tensor in model.outputs]


def _apply(graph: FoldedGraph, operation: keras.Operation, arguments: Any, options: Any) -> list[Value]:
    """What stands for the outputs of one layer or operation."""
    # A layer called with training=True by the network itself goes on to act as in training.
    if arguments and not options.get("training"):
        for kinds, rule in _RULES:
            if isinstance(operation, kinds) and (value := rule(graph, operation, arguments[0])) is not None:
                return [value]
    return graph.copied(operation, arguments, options, fold_normalization)


# The rules: each gives what stands for a layer's output, or None where the layer is of a sort that it does not cover.


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
        value = Value(graph.settled(value))
    return graph.weighted(layer, value, *_with_input(layer, value))


def _depthwise(graph: FoldedGraph, layer: layers.DepthwiseConv2D, value: Value) -> Value | None:
    if layer.data_format != "channels_last" or layer.depth_multiplier > 1:
        return None
    if layer.padding == "same" and value.shifted:
        value = Value(graph.settled(value))
    kernel = keras.ops.convert_to_numpy(layer.kernel)[..., 0]
    bias = keras.ops.convert_to_numpy(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1], np.float32)
    return graph.weighted(
        layer, value, kernel * value.scale, bias + value.shift * kernel.sum(axis=(0, 1), dtype=np.float64)
    )


def _zero_padding(graph: FoldedGraph, layer: layers.ZeroPadding2D, value: Value) -> Value | None:
    if layer.data_format != "channels_last":
        return None
    if value.shifted:
        value = Value(graph.settled(value))
    # What made the tensor can no longer take up anything: the border is not of its making.
    return Value(graph.passed(layer, value).tensor, value.scale)


def _dense(graph: FoldedGraph, layer: layers.Dense, value: Value) -> Value:
    return graph.weighted(layer, value, *_with_input(layer, value))


def _with_input(layer: keras.Layer, value: Value) -> tuple[NDArray[Any], NDArray[Any]]:
    """Kernel and bias that do to the value's bare tensor what the layer's own do to the value."""
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
        value = Value(graph.settled(value))
    return graph.passed(layer, value, maximum=True)


def _average(graph: FoldedGraph, layer: keras.Layer, value: Value) -> Value | None:
    return graph.passed(layer, value) if layer.data_format == "channels_last" else None


def _flatten(graph: FoldedGraph, layer: layers.Flatten, value: Value) -> Value | None:
    *positions, channels = value.tensor.shape[1:]
    if layer.data_format != "channels_last" or None in positions:
        return None
    scale, shift = (
        np.tile(np.broadcast_to(part, channels), math.prod(positions)) for part in (value.scale, value.shift)
    )
    return Value(graph.passed(layer, value).tensor, scale, shift)


_RULES = (
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
