"""Builder of an ONNX graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx


class OnnxGraph:
    """Nodes and weights of an ONNX graph under construction; image tensors are [n, channels, height, width]."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        # By contents: the weights of a network that is called for several views are stored once.
        self._names: dict[tuple[Any, ...], str] = {}

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def weight(self, values: NDArray[Any]) -> str:
        """Add a constant, unless an equal one exists, and return its name."""
        from onnx import numpy_helper

        values = np.ascontiguousarray(values)
        key = values.dtype.str, values.shape, values.tobytes()
        if key not in self._names:
            self._names[key] = f"weights_{len(self._names)}"
            self.weights.append(numpy_helper.from_array(values, self._names[key]))
        return self._names[key]

    def name_output(self, output: str, name: str) -> None:
        """Give a name to an output of a node, which becomes an output of the graph."""
        if output in self.nodes[-1].output:
            position = list(self.nodes[-1].output).index(output)
            self.nodes[-1].output[position] = name
        else:  # other nodes may read it by its present name
            self.node("Identity", output)
            self.nodes[-1].output[0] = name
