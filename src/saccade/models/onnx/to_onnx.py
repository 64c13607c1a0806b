"""A model as an ONNX graph, for runtimes that start in a tenth of a second.

The graph is written layer by layer: after folding, all families are of two dozen sorts of layers, each of which is one
operator of ONNX or a few (`layers.py`). Converters of TensorFlow's graphs take seconds for the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

from saccade.models.keras_graph import calls_in_order
from saccade.models.onnx.graph import OnnxGraph
from saccade.models.onnx.layers import rule_of

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

    graph = OnnxGraph()
    (result,) = _add(graph, model, [graph.node("Transpose", INPUT, perm=[0, 3, 1, 2])])
    graph.rename_last(result, OUTPUT)
    model_input, model_output = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape[1:]])
        for name, shape in ((INPUT, model.input_shape), (OUTPUT, model.output_shape))
    )
    made = helper.make_model(
        helper.make_graph(graph.nodes, model.name, [model_input], [model_output], graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="saccade",
    )
    helper.set_model_props(made, dict(metadata))
    contents: bytes = made.SerializeToString()
    return contents


def _add(graph: OnnxGraph, model: keras.Model, inputs: Sequence[str]) -> list[str]:
    """Adds a model to the graph that is asked about these tensors; gives the names of its answers."""
    names = {id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}
    for call in calls_in_order(model):
        given = [names[id(tensor)] for tensor in call.input_tensors]
        if isinstance(call.operation, keras.Model):
            outputs = _add(graph, call.operation, given)
        else:
            outputs = [rule_of(call.operation)(graph, call.operation, *given)]
        names.update((id(tensor), name) for tensor, name in zip(call.outputs, outputs, strict=True))
    return [names[id(tensor)] for tensor in model.outputs]
