"""An ONNX file as a classifier, run by ONNX Runtime: no TensorFlow, so that the first answer comes at once.

The file may come from anyone. ONNX is data, not code, but a graph may name other files to read, or be made to fill the
memory: only graphs of the operators that Saccade's exports consist of, with all weights inside, are run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from saccade.data.dataset import PictureRule, Split
from saccade.data.progress import counting
from saccade.errors import RunError
from saccade.printable import printable
from saccade.runs.environment import memory_bytes
from saccade.runs.records import ModelRecord
from saccade.runs.untrusted import read_contents

if TYPE_CHECKING:
    import onnx
    import onnxruntime

NOTE = "saccade"
"""The name of the note that holds the model's record."""

_OPERATORS = frozenset(
    {
        "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "Div", "Flatten",
        "Gather", "Gemm", "GlobalAveragePool", "Identity", "MatMul", "Max", "MaxPool", "Min", "Mul", "Pad",
        "ReduceMax", "ReduceMean", "ReduceProd", "Relu", "Reshape", "Shape", "Sigmoid", "Slice", "Softmax", "Split",
        "Squeeze", "Sub", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
_BATCH_PIXELS = 100 * 32 * 32
_CHUNK = 500  # pictures


@dataclass(frozen=True)
class OnnxModel:
    """A classifier from an ONNX file.

    Attributes:
        record: what turns pictures into its input, and its output into an answer.
        session: that runs it.
    """

    record: ModelRecord
    session: onnxruntime.InferenceSession

    @classmethod
    def read(cls, path: Path) -> OnnxModel:
        """Opens a file.

        Raises:
            RunError: it can't be read, is no ONNX file of Saccade's, or holds anything that those don't.
        """
        return cls.open(read_contents(path, memory_bytes() // 4), printable(str(path)))

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
        import onnxruntime

        try:
            model = onnx.load_model_from_string(contents)
        except Exception as error:  # protobuf's own error has no public name
            raise RunError(f"'{name}' is no ONNX file, or damaged", found=str(error)[:200]) from None
        record = _record(model, name)
        problem = _problem(model, record)
        if problem:
            raise RunError(f"'{name}' holds what no export of Saccade's holds, so it is not run", found=problem)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(contents, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises classes of its C++ module, one for each of its status codes
            raise RunError(f"'{name}' can't be run", found=str(error)[:200]) from None
        return cls(record, session)

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.record.class_names

    @property
    def rule(self) -> PictureRule:
        """How pictures become its input."""
        return self.record.rule

    def probabilities_of(self, split: Split, *, progress: bool = False) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, classes], of a split's pictures, read in bounded chunks."""
        parts = [np.empty((0, len(self.class_names)), np.float32)]
        with counting("scoring", total=len(split), unit="pictures", shown=progress) as bar:
            for start in range(0, len(split), _CHUNK):
                pictures = split.take(slice(start, start + _CHUNK))
                parts.append(self.probabilities(pictures))
                bar.update(len(pictures))
        return np.concatenate(parts)

    def probabilities(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, classes], of pictures uint8 [n, height, width, 3] made by its rule."""
        batch = max(1, _BATCH_PIXELS // (self.record.rule.height * self.record.rule.width))
        answers = np.empty((len(pictures), len(self.class_names)), np.float32)
        for start in range(0, len(pictures), batch):
            part = slice(start, start + batch)
            (answers[part],) = self.session.run(None, {"pixels": pictures[part].astype(np.float32)})
        return answers


def _record(model: onnx.ModelProto, name: str) -> ModelRecord:
    notes = {note.key: note.value for note in model.metadata_props}
    if NOTE not in notes:
        raise RunError(
            f"'{name}' says nothing of its classes and its pictures",
            expected="an ONNX file made by `saccade export --format onnx`",
        )
    try:
        return ModelRecord.model_validate_json(notes[NOTE])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RunError(f"'{name}' is damaged or of another version", found=str(first["msg"])) from None


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
    rule = record.rule
    found = [(value.name, _shape(value)) for value in (*graph.input, *graph.output)]
    expected = [("pixels", [rule.height, rule.width, 3]), ("probabilities", [len(record.class_names)])]
    return None if found == expected else f"inputs and outputs {found}, not {expected}"


def _shape(value: Any) -> list[int]:
    """The shape of one picture or answer: without the number of them."""
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim][1:]
