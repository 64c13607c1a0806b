"""Classifier from an ONNX file, with ONNX Runtime, which starts much faster than TensorFlow.

An ONNX file may come from an untrusted source. ONNX is data rather than code, but a graph can refer to other files, or
exhaust the memory. Therefore a graph is run only if it consists of the operators of Saccade's exports, with all weights
inside the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split, slices_of
from saccade.errors import RunError
from saccade.inference.model_file import CHUNK_IMAGES, ModelFile, read_model_record
from saccade.machine import usable_cores
from saccade.onnx_session import FEATURES, NOTE, PROBABILITIES, WITHOUT_TTA, open_session
from saccade.progress import counting
from saccade.runs.records import ModelRecord
from saccade.runs.run import INFERENCE_ONNX, Run

if TYPE_CHECKING:
    import onnx
    import onnxruntime

_OPERATORS = frozenset(
    {
        "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "Div", "Erf",
        "Flatten", "Gather", "Gemm", "GlobalAveragePool", "HardSigmoid", "Identity", "MatMul", "Max", "MaxPool", "Min",
        "Mul", "Pad", "ReduceMax", "ReduceMean", "ReduceProd", "Relu", "Reshape", "Shape", "Sigmoid", "Slice",
        "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze",
    }
)  # fmt: skip

# Batches of each core from which a call is shared among the cores: fewer would leave a core without work at the end.
_BATCHES_OF_A_CORE = 4


@dataclass(frozen=True)
class OnnxModel(ModelFile):
    """Classifier from an ONNX file.

    Attributes:
        session: ONNX Runtime session of the graph.
        contents: contents of the file.
        threads: number of threads of the session; None: all cores that this process may use.
    """

    session: onnxruntime.InferenceSession
    contents: bytes = field(repr=False)
    threads: int | None = None

    @classmethod
    def from_bytes(cls, contents: bytes, name: str, *, threads: int | None = None) -> OnnxModel:
        """Load a model from the contents of a file.

        Args:
            contents: contents of the file.
            name: name of the file, for errors.
            threads: number of threads, as for `open_session`.

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
            session = open_session(contents, threads=threads)
        except Exception as error:  # ONNX Runtime raises exceptions of its C++ module, one class per status code
            raise RunError(f"'{name}' can't be run", found=str(error)[:200]) from None
        return cls(record, session, contents, threads)

    @property
    def num_features(self) -> int:
        """Number of features of an image; 0: the file has no output of features."""
        return sum(output.shape[1] for output in self.session.get_outputs() if output.name == FEATURES)

    def predict_batch(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities, [n, classes], of a batch of pixels, float32 [n, height, width, 3]."""
        probabilities: NDArray[np.float32] = self.session.run([PROBABILITIES], {"pixels": pixels})[0]
        return probabilities

    def features_of_batch(self, pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return class probabilities, [n, classes], and features, [n, d], of a batch of pixels, all float32."""
        probabilities, features = self.session.run([PROBABILITIES, FEATURES], {"pixels": pixels})
        return probabilities, features

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes], of preprocessed images, uint8 [n, height, width, 3]."""
        (probabilities,) = self._outputs({PROBABILITIES: len(self.class_names)}, images)
        return probabilities

    def probabilities_and_features(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return class probabilities, [n, classes], and features, [n, d], float32, of preprocessed images, uint8."""
        widths = {PROBABILITIES: len(self.class_names), FEATURES: self.num_features}
        probabilities, features = self._outputs(widths, images)
        return probabilities, features

    @property
    def has_logits_without_tta(self) -> bool:
        """Return whether the file has the logits without test-time augmentation beside the probabilities."""
        return any(output.name == WITHOUT_TTA for output in self.session.get_outputs())

    def probabilities_with_and_without_tta(
        self, split: Split, *, progress: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return class probabilities with and without test-time augmentation, float32 [n, classes] each.

        Args:
            split: n images, which are read in chunks.
            progress: whether to show a bar on stderr.
        """
        shape = len(split), len(self.class_names)
        augmented, logits = np.empty(shape, np.float32), np.empty(shape, np.float32)
        widths = {PROBABILITIES: shape[1], WITHOUT_TTA: shape[1]}
        chunks = slices_of(len(split), CHUNK_IMAGES)
        with counting("scoring", total=len(split), unit="images", shown=progress) as bar:
            for chunk, images in zip(chunks, split.batches(chunks), strict=True):
                augmented[chunk], logits[chunk] = self._outputs(widths, images)
                bar.update(len(images))
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return augmented, exponentials / exponentials.sum(axis=1, keepdims=True)

    def _outputs(self, widths: Mapping[str, int], images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return outputs of the graph, each float32 [n, width], for preprocessed images.

        Each core computes batches of its own with one thread, where there are enough batches: two cores are up to twice
        as fast this way as with two threads for one batch, which wait for each other in every layer.
        """
        outputs = [np.empty((len(images), width), np.float32) for width in widths.values()]
        batches = slices_of(len(images), self.batch_size)
        cores = 1 if self.threads else usable_cores()
        in_parallel = cores > 1 and len(batches) >= _BATCHES_OF_A_CORE * cores
        session = self._session_of_one_thread if in_parallel else self.session

        def compute(batch: slice) -> None:
            found = session.run(list(widths), {"pixels": images[batch].astype(np.float32)})
            for output, part in zip(outputs, found, strict=True):
                output[batch] = part

        with ThreadPoolExecutor(cores) if in_parallel else nullcontext() as pool:
            list(map(compute, batches) if pool is None else pool.map(compute, batches))
        return outputs

    @cached_property
    def _session_of_one_thread(self) -> onnxruntime.InferenceSession:
        return open_session(self.contents, threads=1)


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
        (PROBABILITIES, [len(record.class_names)]),
        # The `model.onnx` of a run may have another output beside the probabilities.
        *((name, shape) for name, shape in found[2:3] if name in (FEATURES, WITHOUT_TTA) and len(shape) == 1),
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
