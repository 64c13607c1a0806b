"""A model as an ONNX graph, for runtimes that start in a tenth of a second.

The graph is written layer by layer: after folding, all families are of a dozen sorts of layers, each of which is one or
two operators of ONNX. Converters of TensorFlow's graphs take seconds for the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from saccade.models.folded_graph import Affine
from saccade.models.folding import calls_in_order

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 18, 8
INPUT, OUTPUT = "pixels", "probabilities"


def to_onnx(model: keras.Model, metadata: Mapping[str, str]) -> bytes:
    """The contents of an ONNX file that holds a model, its weights and notes on it.

    Args:
        model: from float32 [n, height, width, 3] to float32 [n, classes]; what `fold_normalization` gives.
        metadata: notes that the file carries, by name.

    Returns:
        A model of the default operator set, its input named "pixels", its output "probabilities".

    Raises:
        ValueError: the model holds a layer that no network of Saccade's has after folding.
    """
    from onnx import TensorProto, helper

    graph = _Graph()
    (answers,) = _add(graph, model, [graph.node("Transpose", INPUT, perm=[0, 3, 1, 2])])
    graph.rename_last(answers, OUTPUT)
    asked, answered = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape[1:]])
        for name, shape in ((INPUT, model.input_shape), (OUTPUT, model.output_shape))
    )
    made = helper.make_model(
        helper.make_graph(graph.nodes, model.name, [asked], [answered], graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="saccade",
    )
    helper.set_model_props(made, dict(metadata))
    contents: bytes = made.SerializeToString()
    return contents


class _Graph:
    """Nodes and weights while they are gathered; pictures lie in it as [n, channels, height, width]."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        # By contents: a network that is asked about several views has its weights but once.
        self._names: dict[tuple[Any, ...], str] = {}

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node; gives the name of its output."""
        from onnx import helper

        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def weight(self, values: NDArray[Any]) -> str:
        """Adds a constant, unless it is there; gives its name."""
        from onnx import numpy_helper

        values = np.ascontiguousarray(values)
        key = values.dtype.str, values.shape, values.tobytes()
        if key not in self._names:
            self._names[key] = f"weights_{len(self._names)}"
            self.weights.append(numpy_helper.from_array(values, self._names[key]))
        return self._names[key]

    def rename_last(self, output: str, name: str) -> None:
        """Gives the output of the last node another name."""
        (place,) = [place for place, found in enumerate(self.nodes[-1].output) if found == output]
        self.nodes[-1].output[place] = name


def _add(graph: _Graph, model: keras.Model, inputs: Sequence[str]) -> list[str]:
    """Adds a model to the graph that is asked about these tensors; gives the names of its answers."""
    names = {id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}
    for call in calls_in_order(model):
        given = [names[id(tensor)] for tensor in call.input_tensors]
        if isinstance(call.operation, keras.Model):
            outputs = _add(graph, call.operation, given)
        else:
            outputs = [_rule(call.operation)(graph, call.operation, *given)]
        names.update((id(tensor), name) for tensor, name in zip(call.outputs, outputs, strict=True))
    return [names[id(tensor)] for tensor in model.outputs]


def _rule(layer: keras.Operation) -> Callable[..., str]:
    for kinds, rule in _RULES:
        if isinstance(layer, kinds) and getattr(layer, "data_format", "channels_last") == "channels_last":
            return rule
    raise ValueError(f"no rule says what the layer '{layer.name}' ({type(layer).__name__}) is in ONNX")


# The rules: each adds what does a layer's work, and gives the name of its output.


def _convolution(graph: _Graph, layer: layers.Conv2D, x: str) -> str:
    kernel, bias = _weights(layer)
    weights = graph.weight(kernel.transpose(3, 2, 0, 1)), graph.weight(bias)
    settings = {"strides": layer.strides, "group": layer.groups}
    return _activated(graph, layer.activation, graph.node("Conv", x, *weights, pads=_pads(layer), **settings))


def _dense(graph: _Graph, layer: layers.Dense, x: str) -> str:
    kernel, bias = (graph.weight(weight) for weight in _weights(layer))
    return _activated(graph, layer.activation, graph.node("Gemm", x, kernel, bias))


def _product(graph: _Graph, layer: layers.EinsumDense, x: str) -> str:
    """Rows or columns times a matrix; see `models/views.py`."""
    (matrix,) = _weights(layer)
    if layer.equation == "nhwc,vh->nvwc":
        return graph.node("MatMul", graph.weight(matrix), x)
    if layer.equation == "nhwc,vw->nhvc":
        return graph.node("MatMul", x, graph.weight(matrix.T))
    raise ValueError(f"no rule says what '{layer.equation}' is in ONNX")


def _maximum(graph: _Graph, layer: layers.MaxPooling2D, x: str) -> str:
    return graph.node("MaxPool", x, kernel_shape=layer.pool_size, strides=layer.strides, pads=_pads(layer))


def _global_maximum(graph: _Graph, _: layers.GlobalMaxPooling2D, x: str) -> str:
    return graph.node("ReduceMax", x, graph.weight(np.array([2, 3])), keepdims=0)


def _flatten(graph: _Graph, _: layers.Flatten, x: str) -> str:
    return graph.node("Flatten", graph.node("Transpose", x, perm=[0, 2, 3, 1]))


def _cropping(graph: _Graph, layer: layers.Cropping2D, x: str) -> str:
    sizes = layer.input.shape[1:3]
    starts = [start for start, _ in layer.cropping]
    ends = [size - end for size, (_, end) in zip(sizes, layer.cropping, strict=True)]
    return graph.node("Slice", x, *(graph.weight(np.array(part)) for part in (starts, ends, [2, 3])))


def _concatenation(graph: _Graph, layer: layers.Concatenate, *parts: str) -> str:
    return graph.node("Concat", *parts, axis={1: 2, 2: 3, 3: 1, -1: 1}[layer.axis])


def _average(graph: _Graph, _: layers.Average, *parts: str) -> str:
    total, *others = parts
    for part in others:
        total = graph.node("Add", total, part)
    return graph.node("Mul", total, graph.weight(np.array(1 / len(parts), np.float32)))


def _affine(graph: _Graph, layer: Affine, x: str) -> str:
    positions = (1,) * (len(layer.input.shape) - 2)
    *scale, shift = (weight.reshape(-1, *positions) for weight in _weights(layer))
    for part in scale:
        x = graph.node("Mul", x, graph.weight(part))
    return graph.node("Add", x, graph.weight(shift))


def _activation(graph: _Graph, layer: layers.Activation, x: str) -> str:
    return _activated(graph, layer.activation, x)


def _softmax(graph: _Graph, _: layers.Softmax, x: str) -> str:
    return graph.node("Softmax", x, axis=-1)


_RULES: tuple[tuple[Any, Callable[..., str]], ...] = (
    (layers.Conv2D, _convolution),
    (layers.Dense, _dense),
    (layers.EinsumDense, _product),
    (layers.MaxPooling2D, _maximum),
    (layers.GlobalMaxPooling2D, _global_maximum),
    (layers.Flatten, _flatten),
    (layers.Cropping2D, _cropping),
    (layers.Concatenate, _concatenation),
    (layers.Average, _average),
    (Affine, _affine),
    (layers.Activation, _activation),
    (layers.Softmax, _softmax),
)


def _activated(graph: _Graph, activation: Callable[..., Any], x: str) -> str:
    match activation.__name__:
        case "linear":
            return x
        case "relu":
            return graph.node("Relu", x)
        case "silu":
            return graph.node("Mul", x, graph.node("Sigmoid", x))
        case "softmax":
            return graph.node("Softmax", x, axis=-1)
    raise ValueError(f"no rule says what the activation '{activation.__name__}' is in ONNX")


def _weights(layer: keras.Layer) -> list[NDArray[np.float32]]:
    return [np.asarray(weight, np.float32) for weight in layer.get_weights()]


def _pads(layer: keras.Layer) -> list[int]:
    """Rows and columns of padding of a convolution or pooling: first those before the picture, then those after."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    window = layer.kernel_size if isinstance(layer, layers.Conv2D) else layer.pool_size
    if any(part % 2 == 0 for part in window) or set(layer.strides) != {1}:
        raise ValueError(f"no rule says how the layer '{layer.name}' pads")  # it would depend on the size of its input
    return [part // 2 for part in window] * 2
