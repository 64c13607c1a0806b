"""Converters of Keras layers to ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from saccade.models.batchnorm_folding.folded_graph import Affine
from saccade.models.onnx.graph import OnnxGraph


def converter_of(layer: keras.Operation) -> Callable[..., str]:
    """Return the function that adds a layer to a graph; its arguments are the graph, the layer and the input names.

    Raises:
        ValueError: the layer has no converter; no network of Saccade has such a layer after folding.
    """
    for kinds, converter in _CONVERTERS:
        if isinstance(layer, kinds) and getattr(layer, "data_format", "channels_last") == "channels_last":
            return converter
    raise ValueError(f"the layer '{layer.name}' ({type(layer).__name__}) has no ONNX converter")


# Converters: each adds the nodes of a layer and returns the name of its output.


def _convolution(graph: OnnxGraph, layer: layers.Conv2D, x: str) -> str:
    kernel, *bias = _weights(layer)
    weights = [graph.weight(weight) for weight in (kernel.transpose(3, 2, 0, 1), *bias)]
    settings = {"strides": layer.strides, "group": layer.groups}
    return _activated(graph, layer.activation, graph.node("Conv", x, *weights, pads=_pads(layer), **settings))


def _depthwise(graph: OnnxGraph, layer: layers.DepthwiseConv2D, x: str) -> str:
    kernel, *bias = _weights(layer)
    if layer.depth_multiplier > 1:
        raise ValueError(f"the depth multiplier of the layer '{layer.name}' has no ONNX converter")
    weights = [graph.weight(weight) for weight in (kernel.transpose(2, 3, 0, 1), *bias)]
    settings = {"strides": layer.strides, "group": kernel.shape[2]}
    return _activated(graph, layer.activation, graph.node("Conv", x, *weights, pads=_pads(layer), **settings))


def _dense(graph: OnnxGraph, layer: layers.Dense, x: str) -> str:
    kernel, *bias = _weights(layer)
    if len(layer.input.shape) == 2:
        outputs = graph.node("Gemm", x, *(graph.weight(weight) for weight in (kernel, *bias)))
    else:  # at each position of an image
        weights = [graph.weight(weight) for weight in (kernel.T[:, :, None, None], *bias)]
        outputs = graph.node("Conv", x, *weights)
    return _activated(graph, layer.activation, outputs)


def _product(graph: OnnxGraph, layer: layers.EinsumDense, x: str) -> str:
    """Multiply rows or columns by a matrix, as `models/test_time_augmentation.py` does."""
    (matrix,) = _weights(layer)
    if layer.equation == "nhwc,vh->nvwc":
        return graph.node("MatMul", graph.weight(matrix), x)
    if layer.equation == "nhwc,vw->nhvc":
        return graph.node("MatMul", x, graph.weight(matrix.T))
    raise ValueError(f"the equation '{layer.equation}' of the layer '{layer.name}' has no ONNX converter")


def _maximum(graph: OnnxGraph, layer: layers.MaxPooling2D, x: str) -> str:
    for node in graph.nodes:
        if x in node.output and node.op_type == "Pad":
            # ONNX Runtime (1.31) fuses zero padding into the pooling, which pads with the lowest number. It does not
            # fuse padding with another value.
            node.input.append(graph.weight(np.array(1e-30, np.float32)))
    return graph.node("MaxPool", x, kernel_shape=layer.pool_size, strides=layer.strides, pads=_pads(layer))


def _global_maximum(graph: OnnxGraph, _: layers.GlobalMaxPooling2D, x: str) -> str:
    return graph.node("ReduceMax", x, graph.weight(np.array([2, 3])), keepdims=0)


def _global_average(graph: OnnxGraph, layer: layers.GlobalAveragePooling2D, x: str) -> str:
    averages = graph.node("GlobalAveragePool", x)
    return averages if layer.keepdims else graph.node("Flatten", averages)


def _zero_padding(graph: OnnxGraph, layer: layers.ZeroPadding2D, x: str) -> str:
    (top, bottom), (left, right) = layer.padding
    return graph.node("Pad", x, graph.weight(np.array([0, 0, top, left, 0, 0, bottom, right])))


def _reshape(graph: OnnxGraph, layer: layers.Reshape, x: str) -> str:
    """Reshape one value per channel to an image of one pixel."""
    *positions, channels = layer.target_shape
    if positions != [1, 1] or layer.input.shape[1:] != (channels,):
        raise ValueError(f"the target shape of the layer '{layer.name}' has no ONNX converter")
    return graph.node("Reshape", x, graph.weight(np.array([-1, channels, 1, 1])))


def _layer_normalization(graph: OnnxGraph, layer: layers.LayerNormalization, x: str) -> str:
    """Normalize along the channels at each position of an image."""
    axis = len(layer.input.shape) - 1
    if layer.axis not in (axis, -1, [axis], [-1]):
        raise ValueError(f"the axis of the layer '{layer.name}' has no ONNX converter")
    gamma, beta = (weight.reshape(-1, *(1,) * (axis - 1)) for weight in _weights(layer))
    channels = graph.weight(np.array([1]))
    centered = graph.node("Sub", x, graph.node("ReduceMean", x, channels, keepdims=1))
    variance = graph.node("ReduceMean", graph.node("Mul", centered, centered), channels, keepdims=1)
    spread = graph.node("Sqrt", graph.node("Add", variance, graph.weight(np.array(layer.epsilon, np.float32))))
    scaled = graph.node("Mul", graph.node("Div", centered, spread), graph.weight(gamma))
    return graph.node("Add", scaled, graph.weight(beta))


def _sum(graph: OnnxGraph, _: layers.Add, *parts: str) -> str:
    return _joined(graph, "Add", parts)


def _elementwise_product(graph: OnnxGraph, _: layers.Multiply, *parts: str) -> str:
    return _joined(graph, "Mul", parts)


def _joined(graph: OnnxGraph, operator: str, parts: Sequence[str]) -> str:
    joined, *others = parts
    for part in others:
        joined = graph.node(operator, joined, part)
    return joined


def _rectifier(graph: OnnxGraph, layer: layers.ReLU, x: str) -> str:
    if layer.negative_slope or layer.threshold:
        raise ValueError(f"the settings of the rectifier '{layer.name}' have no ONNX converter")
    if layer.max_value is None:
        return graph.node("Relu", x)
    bounds = (graph.weight(np.array(bound, np.float32)) for bound in (0, layer.max_value))
    return graph.node("Clip", x, *bounds)


def _flatten(graph: OnnxGraph, _: layers.Flatten, x: str) -> str:
    return graph.node("Flatten", graph.node("Transpose", x, perm=[0, 2, 3, 1]))


def _cropping(graph: OnnxGraph, layer: layers.Cropping2D, x: str) -> str:
    sizes = layer.input.shape[1:3]
    starts = [start for start, _ in layer.cropping]
    ends = [size - end for size, (_, end) in zip(sizes, layer.cropping, strict=True)]
    return graph.node("Slice", x, *(graph.weight(np.array(part)) for part in (starts, ends, [2, 3])))


def _concatenation(graph: OnnxGraph, layer: layers.Concatenate, *parts: str) -> str:
    return graph.node("Concat", *parts, axis={1: 2, 2: 3, 3: 1, -1: 1}[layer.axis])


def _average(graph: OnnxGraph, _: layers.Average, *parts: str) -> str:
    return graph.node("Mul", _joined(graph, "Add", parts), graph.weight(np.array(1 / len(parts), np.float32)))


def _affine(graph: OnnxGraph, layer: Affine, x: str) -> str:
    positions = (1,) * (len(layer.input.shape) - 2)
    *scale, shift = (weight.reshape(-1, *positions) for weight in _weights(layer))
    for part in scale:
        x = graph.node("Mul", x, graph.weight(part))
    return graph.node("Add", x, graph.weight(shift))


def _activation(graph: OnnxGraph, layer: layers.Activation, x: str) -> str:
    return _activated(graph, layer.activation, x)


def _softmax(graph: OnnxGraph, _: layers.Softmax, x: str) -> str:
    return graph.node("Softmax", x, axis=-1)


_CONVERTERS: tuple[tuple[Any, Callable[..., str]], ...] = (
    (layers.Conv2D, _convolution),
    (layers.DepthwiseConv2D, _depthwise),
    (layers.Dense, _dense),
    (layers.EinsumDense, _product),
    (layers.MaxPooling2D, _maximum),
    (layers.GlobalMaxPooling2D, _global_maximum),
    (layers.GlobalAveragePooling2D, _global_average),
    (layers.ZeroPadding2D, _zero_padding),
    (layers.Reshape, _reshape),
    (layers.LayerNormalization, _layer_normalization),
    (layers.Add, _sum),
    (layers.Multiply, _elementwise_product),
    (layers.ReLU, _rectifier),
    (layers.Flatten, _flatten),
    (layers.Cropping2D, _cropping),
    (layers.Concatenate, _concatenation),
    (layers.Average, _average),
    (Affine, _affine),
    (layers.Activation, _activation),
    (layers.Softmax, _softmax),
)


def _activated(graph: OnnxGraph, activation: Callable[..., Any], x: str) -> str:
    if activation.__name__ not in _ACTIVATIONS:
        raise ValueError(f"the activation '{activation.__name__}' has no ONNX converter")
    return _ACTIVATIONS[activation.__name__](graph, x)


def _gelu(graph: OnnxGraph, x: str) -> str:
    """Add x (1 + erf(x / sqrt 2)) / 2."""
    error = graph.node("Erf", graph.node("Mul", x, graph.weight(np.array(np.sqrt(0.5), np.float32))))
    half = graph.node("Mul", x, graph.weight(np.array(0.5, np.float32)))
    return graph.node("Add", half, graph.node("Mul", half, error))


def _hard_sigmoid(graph: OnnxGraph, x: str) -> str:
    return graph.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


_ACTIVATIONS: dict[str, Callable[[OnnxGraph, str], str]] = {
    "linear": lambda _, x: x,
    "relu": lambda graph, x: graph.node("Relu", x),
    "sigmoid": lambda graph, x: graph.node("Sigmoid", x),
    "silu": lambda graph, x: graph.node("Mul", x, graph.node("Sigmoid", x)),
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": lambda graph, x: graph.node("Mul", x, _hard_sigmoid(graph, x)),
    "gelu": _gelu,
}


def _weights(layer: keras.Layer) -> list[NDArray[np.float32]]:
    return [np.asarray(weight, np.float32) for weight in layer.get_weights()]


def _pads(layer: keras.Layer) -> list[int]:
    """Return the padding of a convolution or pooling: rows and columns before the image, then after it."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    window = layer.pool_size if isinstance(layer, layers.MaxPooling2D) else layer.kernel_size
    sides = zip(layer.input.shape[1:3], window, layer.strides, strict=True)
    missing = [_missing(side, width, stride, layer) for side, width, stride in sides]
    return [part // 2 for part in missing] + [part - part // 2 for part in missing]


def _missing(side: int | None, width: int, stride: int, layer: keras.Layer) -> int:
    """Return the total "same" padding of a side of `side` pixels, for a window of `width` pixels and a stride."""
    if stride == 1:
        return width - 1
    if side is None:
        raise ValueError(f"the padding of the layer '{layer.name}' for images of any size has no ONNX converter")
    return max(0, (math.ceil(side / stride) - 1) * stride + width - side)
