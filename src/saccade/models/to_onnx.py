"""A model as an ONNX graph, for runtimes that start in a tenth of a second."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import keras

OPSET = 18
INPUT, OUTPUT = "pixels", "probabilities"


def to_onnx(model: keras.Model, metadata: Mapping[str, str]) -> bytes:
    """The contents of an ONNX file that holds a model, its weights and notes on it.

    Args:
        model: from float32 [n, height, width, 3] to float32 [n, classes]; without layers that only training needs, and
            smaller, after `fold_normalization`.
        metadata: notes that the file carries, by name.

    Returns:
        A model of the default operator set, its input named "pixels", its output "probabilities".
    """
    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    signature = [tf.TensorSpec(model.input_shape, tf.float32, name=INPUT)]
    function = tf.function(lambda pixels: model(pixels, training=False), input_signature=signature, autograph=False)
    converted, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    _rename(converted.graph, converted.graph.output[0].name, OUTPUT)
    for key, value in metadata.items():
        note = converted.metadata_props.add()
        note.key, note.value = key, value
    contents: bytes = converted.SerializeToString()
    return contents


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
    graph.output[0].name = new
