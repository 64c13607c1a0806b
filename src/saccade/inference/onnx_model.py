"""Classifier from an ONNX file, with ONNX Runtime, which starts much faster than TensorFlow.

An ONNX file may come from an untrusted source. ONNX is data rather than code, but a graph can refer to other files, or
exhaust the memory. Therefore a graph is run only if it consists of the operators of Saccade's exports, with all weights
inside the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError
from saccade.inference.model_file import ModelFile, read_model_record
from saccade.onnx_session import NOTE, open_session
from saccade.runs.records import ModelRecord
from saccade.runs.run import INFERENCE_ONNX, Run

if TYPE_CHECKING:
    import onnx
    import onnxruntime

MAX_IMAGES = 2000
"""Most images for which ONNX Runtime is faster: TensorFlow starts 3 s later, then saves 1 ms per 32x32 image."""

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
    """Classifier from an ONNX file.

    Attributes:
        session: ONNX Runtime session of the graph.
    """

    session: onnxruntime.InferenceSession

    @classmethod
    def from_bytes(cls, contents: bytes, name: str) -> OnnxModel:
        """Load a model from the contents of a file.

        Args:
            contents: contents of the file.
            name: name of the file, for errors.

        Raises:
            RunError: the file is not an ONNX file of Saccade, or contains what no export of Saccade contains.
        """
        import onnx

        try:
            model = onnx.load_model_from_string(contents)
        except Exception as error:  # protobuf's own error has no public name
            raise RunError(f"'{name}' is not an ONNX file, or is damaged", found=str(error)[:200]) from None
        record = _record(model, name)
        problem = _unsafe_content(model, record)
        if problem:
            raise RunError(f"'{name}' contains what no export of Saccade contains, so it is not run", found=problem)
        try:
            session = open_session(contents)
        except Exception as error:  # ONNX Runtime raises exceptions of its C++ module, one class per status code
            raise RunError(f"'{name}' can't be run", found=str(error)[:200]) from None
        return cls(record, session)

    def predict_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities, [n, classes], of a batch of pixels, float32 [n, height, width, 3]."""
        probabilities: NDArray[np.float32] = self.session.run(None, {"pixels": pixels})[0]
        return probabilities


def _record(model: onnx.ModelProto, name: str) -> ModelRecord:
    notes = {note.key: note.value for note in model.metadata_props}
    if NOTE not in notes:
        raise RunError(
            f"'{name}' has no metadata of its classes and preprocessing",
            expected="an ONNX file made by `saccade export --format onnx`",
        )
    return read_model_record(notes[NOTE], name)


def _unsafe_content(model: onnx.ModelProto, record: ModelRecord) -> str | None:
    """Return what the model contains that no export of Saccade contains; None for a model like an export."""
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
    """Return the shape of an input or output without the batch axis."""
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim][1:]


def load_inference_onnx(run: Run) -> OnnxModel | None:
    """Load the run's `model.onnx`; return None if it is missing, damaged or of other weights."""
    try:
        contents = run.inference_onnx()
        model = None if contents is None else OnnxModel.from_bytes(contents, str(run.path / INFERENCE_ONNX))
    except RunError:
        return None
    if model is None:
        return None
    # The name may differ, because a run can be renamed or copied.
    record = run.model_record()
    return replace(model, record=record) if model.record.model_copy(update={"name": record.name}) == record else None
