"""An ONNX file as a classifier, run by ONNX Runtime: no TensorFlow, so that the first answer comes at once.

The file may come from anyone. ONNX is data, not code, but a graph may name other files to read, or be made to fill the
memory: only graphs of the operators that Saccade's exports consist of, with all weights inside, are run.

Whether a few images can be answered without TensorFlow, whose import alone takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError
from saccade.inference.model_file import ModelFile, read_model_record
from saccade.runs.onnx_session import NOTE, open_session
from saccade.runs.records import ModelRecord

if TYPE_CHECKING:
    import onnx
    import onnxruntime

from dataclasses import replace

from saccade.runs.run import LIGHT_MODEL, Run

_OPERATORS = frozenset(
    {
        "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "Div", "Erf",
        "Flatten", "Gather", "Gemm", "GlobalAveragePool", "HardSigmoid", "Identity", "MatMul", "Max", "MaxPool", "Min",
        "Mul", "Pad", "ReduceMax", "ReduceMean", "ReduceProd", "Relu", "Reshape", "Shape", "Sigmoid", "Slice",
        "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze",
    }
)  # fmt: skip


@dataclass(frozen=True)
class OnnxModel(ModelFile):
    """A classifier from an ONNX file.

    Attributes:
        session: that runs it.
    """

    session: onnxruntime.InferenceSession

    @classmethod
    def open(cls, contents: bytes, name: str) -> OnnxModel:
        """Opens the contents of a file.

        Args:
            contents: of the file.
            name: of the file, for errors.

        Raises:
            RunError: it is no ONNX file of Saccade's, or holds anything that those don't.
        """
        import onnx

        try:
            model = onnx.load_model_from_string(contents)
        except Exception as error:  # protobuf's own error has no public name
            raise RunError(f"'{name}' is no ONNX file, or damaged", found=str(error)[:200]) from None
        record = _record(model, name)
        problem = _problem(model, record)
        if problem:
            raise RunError(f"'{name}' holds what no export of Saccade's holds, so it is not run", found=problem)
        try:
            session = open_session(contents)
        except Exception as error:  # ONNX Runtime raises classes of its C++ module, one for each of its status codes
            raise RunError(f"'{name}' can't be run", found=str(error)[:200]) from None
        return cls(record, session)

    def predict_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities of a batch, [n, classes], of pixels float32 [n, height, width, 3]."""
        probabilities: NDArray[np.float32] = self.session.run(None, {"pixels": pixels})[0]
        return probabilities


def _record(model: onnx.ModelProto, name: str) -> ModelRecord:
    notes = {note.key: note.value for note in model.metadata_props}
    if NOTE not in notes:
        raise RunError(
            f"'{name}' says nothing of its classes and its images",
            expected="an ONNX file made by `saccade export --format onnx`",
        )
    return read_model_record(notes[NOTE], name)


def _problem(model: onnx.ModelProto, record: ModelRecord) -> str | None:
    """What is in the model that is in no export of Saccade's; None if nothing is."""
    from onnx import AttributeProto, TensorProto

    graph = model.graph
    tensors = list(graph.initializer)
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in _OPERATORS:
            return f"the operator {node.op_type!r}"
        for attribute in node.attribute:
            if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
                return "a graph within the graph"
            if attribute.type == AttributeProto.TENSOR:
                tensors.append(attribute.t)
    if model.functions or graph.sparse_initializer:
        return "functions or sparse weights"
    if any(tensor.data_location == TensorProto.EXTERNAL or tensor.external_data for tensor in tensors):
        return "weights that lie in another file"
    preprocessing = record.preprocessing
    found = [(value.name, _shape(value)) for value in (*graph.input, *graph.output)]
    expected = [
        ("pixels", [preprocessing.height, preprocessing.width, 3]),
        ("probabilities", [len(record.class_names)]),
    ]
    return None if found == expected else f"inputs and outputs {found}, not {expected}"


def _shape(value: Any) -> list[int]:
    """The shape of one image or answer: without the number of them."""
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim][1:]


MOST_IMAGES = 2000
"""TensorFlow takes three seconds to start, and then a millisecond less for each image of 32x32 with six views."""


def light_model(run: Run) -> OnnxModel | None:
    """The run's `model.onnx`; None where there is none of its present weights, or a damaged one."""
    try:
        contents = run.light_model()
        model = None if contents is None else OnnxModel.open(contents, str(run.path / LIGHT_MODEL))
    except RunError:
        return None
    if model is None:
        return None
    # A run that was renamed or copied is still the run of these weights.
    record = run.model_record()
    return replace(model, record=record) if model.record.model_copy(update={"name": record.name}) == record else None
