"""An ONNX graph while it is written: its nodes and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx


class OnnxGraph:
    """Nodes and weights while they are gathered; images lie in it as [n, channels, height, width]."""

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
