"""Conversion of a model to ONNX.

The graph is converted layer by layer: after folding, all networks consist of about twenty types of layers, each of
which is one ONNX operator or a few (`layers.py`). This takes a tenth of a second; converters of TensorFlow graphs take
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

from saccade.models.keras_graph import calls_in_order
from saccade.models.onnx.graph import OnnxGraph
from saccade.models.onnx.layers import converter_of
from saccade.onnx_session import PROBABILITIES

OPSET, IR_VERSION = 18, 8
INPUT = "pixels"
_IMAGE_RANK = 4


def to_onnx(model: keras.Model, metadata: Mapping[str, str], outputs: Sequence[str] = (PROBABILITIES,)) -> bytes:
    """Convert a model to ONNX.

    Args:
        model: result of `fold_normalization`, from float32 [n, height, width, 3] to float32 [n, classes], or to
            activations, float32 [n, height, width, channels].
        metadata: metadata properties of the file, by name.
        outputs: names of the outputs of the model.

    Returns:
        Contents of an ONNX file with operators of the default operator set and the input "pixels".

    Raises:
        ValueError: a layer of the model has no converter.
    """
    from onnx import TensorProto, helper

    graph = OnnxGraph()
    results = _add(graph, model, [graph.node("Transpose", INPUT, perm=[0, 3, 1, 2])])
    for tensor, result, name in zip(model.outputs, results, outputs, strict=True):
        is_image = len(tensor.shape) == _IMAGE_RANK
        graph.name_output(graph.node("Transpose", result, perm=[0, 2, 3, 1]) if is_image else result, name)
    model_input, *model_outputs = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *tensor.shape[1:]])
        for name, tensor in zip((INPUT, *outputs), (model.inputs[0], *model.outputs), strict=True)
    )
    onnx_model = helper.make_model(
        helper.make_graph(graph.nodes, model.name, [model_input], model_outputs, graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="saccade",
    )
    helper.set_model_props(onnx_model, dict(metadata))
    contents: bytes = onnx_model.SerializeToString()
    return contents


def _add(graph: OnnxGraph, model: keras.Model, inputs: Sequence[str]) -> list[str]:
    """Add the layers of a model, applied to the named inputs, to the graph; return the names of its outputs."""
    names = {id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}
    for call in calls_in_order(model):
        given = [names[id(tensor)] for tensor in call.input_tensors]
        if isinstance(call.operation, keras.Model):
            outputs = _add(graph, call.operation, given)
        else:
            outputs = [converter_of(call.operation)(graph, call.operation, *given)]
        names.update((id(tensor), name) for tensor, name in zip(call.outputs, outputs, strict=True))
    return [names[id(tensor)] for tensor in model.outputs]
