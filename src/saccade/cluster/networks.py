"""Networks of work on a cluster, opened by ONNX Runtime: classifiers of runs and exported files, and features."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.resize import resize_images
from saccade.cluster.scoring import BlockImages
from saccade.data.dataset import Preprocessing
from saccade.errors import ClusterError
from saccade.inference.load_model import load_model
from saccade.inference.onnx_model import OnnxModel, load_inference_onnx
from saccade.inference.top_k import top_k
from saccade.machine import memory_bytes
from saccade.onnx_session import open_session
from saccade.runs.run import Run
from saccade.runs.safe_loading import read_contents

if TYPE_CHECKING:
    import onnxruntime
    import pyarrow


@dataclass(frozen=True)
class ModelContents:
    """An ONNX file of a classifier.

    Attributes:
        contents: contents of the file.
        name: name of the run or of the file.
        model: the classifier that it holds.
        run: the run; None for an exported file.
    """

    contents: bytes
    name: str
    model: OnnxModel
    run: Run | None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the contents."""
        return hashlib.sha256(self.contents).hexdigest()


def read_model(path: str | Path) -> ModelContents:
    """Read the ONNX file of a run, or an exported ONNX file.

    Raises:
        RunError: the path is neither a run nor an exported file.
        ClusterError: there is no ONNX file of the run's present weights, or the file has another format.
    """
    model = load_model(path)
    if isinstance(model, OnnxModel):
        return ModelContents(read_contents(Path(path), memory_bytes() // 4), str(path), model, None)
    if not isinstance(model, Run):
        raise ClusterError(
            "only ONNX files are run on a cluster", expected="a run, or a file of `saccade export --format onnx`",
            found=str(path),
        )  # fmt: skip
    onnx_model, contents = load_inference_onnx(model), model.inference_onnx()
    if onnx_model is None or contents is None:
        raise ClusterError(
            f"'{model.path}' has no model.onnx of its present weights, which a cluster runs",
            remedy=f"saccade export {model.path} --format onnx, and name the file instead of the run",
        )
    return ModelContents(contents, str(path), onnx_model, model)


@dataclass(frozen=True)
class ClassifierFactory:
    """Opens a classifier whose columns are those of the JSON of `saccade predict`.

    Attributes:
        name: name of the model, for errors.
        top: number of most probable classes.
        threshold: confidence below which a prediction is abstained.
    """

    name: str
    top: int
    threshold: float

    def open(self, contents: bytes, threads: int) -> ClassifierNetwork:
        """Open the classifier with a number of threads."""
        return ClassifierNetwork(OnnxModel.from_bytes(contents, self.name, threads=threads), self)


class ClassifierNetwork:
    """A classifier, and the columns of its predictions.

    Args:
        model: the classifier.
        settings: number of classes and threshold.
    """

    def __init__(self, model: OnnxModel, settings: ClassifierFactory) -> None:
        self._model = model
        self._settings = settings
        self.preprocessing: Preprocessing = model.preprocessing
        self.batch_size: int = model.batch_size

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes], of decoded images, uint8 [n, height, width, 3]."""
        return self._model.predict_batch(pixels.astype(np.float32))

    def columns(self, outputs: NDArray[np.float32], images: BlockImages) -> dict[str, pyarrow.Array]:
        """Return the columns name, top, abstained, ood_p_value, true_class and hash."""
        import pyarrow

        n = len(images.names)
        top: list[list[dict[str, Any]]] = [[] for _ in range(n)]
        abstained = [False] * n
        for index, row in zip(np.flatnonzero(images.readable).tolist(), outputs, strict=True):
            classes = top_k(row, self._model.class_names, self._settings.top)
            top[index] = [{"class_name": one.class_name, "probability": one.probability} for one in classes]
            abstained[index] = classes[0].probability < self._settings.threshold
        kind = pyarrow.list_(pyarrow.struct([("class_name", pyarrow.string()), ("probability", pyarrow.float64())]))
        return {
            "name": pyarrow.array(images.names, pyarrow.string()),
            "top": pyarrow.array(top, kind),
            "abstained": pyarrow.array(abstained, pyarrow.bool_()),
            "ood_p_value": pyarrow.nulls(n, pyarrow.float64()),
            "true_class": pyarrow.array([label or None for label in images.labels], pyarrow.string()),
            "hash": pyarrow.array(images.hashes, pyarrow.string()),
        }


@dataclass(frozen=True)
class FeatureFactory:
    """Opens a network without its head, whose columns are those of the Parquet file of `saccade embed`.

    Attributes:
        preprocessing: preprocessing of the images.
        input_size: height and width of the images that the network sees, in pixels.
        batch_size: number of images in a batch.
    """

    preprocessing: Preprocessing
    input_size: tuple[int, int]
    batch_size: int

    def open(self, contents: bytes, threads: int) -> FeatureNetwork:
        """Open the network with a number of threads."""
        return FeatureNetwork(open_session(contents, threads=threads), self)


class FeatureNetwork:
    """A network without its head, and the columns of its features.

    Args:
        session: session of ONNX Runtime.
        settings: sizes of the images and of a batch.
    """

    def __init__(self, session: onnxruntime.InferenceSession, settings: FeatureFactory) -> None:
        self._session = session
        self._input_size = settings.input_size
        self.preprocessing: Preprocessing = settings.preprocessing
        self.batch_size: int = settings.batch_size

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return features, float32 [n, d], of decoded images, uint8 [n, height, width, 3]."""
        features: NDArray[np.float32] = self._session.run(None, {"pixels": resize_images(pixels, self._input_size)})[0]
        return features

    def columns(self, outputs: NDArray[np.float32], images: BlockImages) -> dict[str, pyarrow.Array]:
        """Return the columns path, hash, label, split and embedding; only the path of an unreadable image."""
        import pyarrow

        width = int(self._session.get_outputs()[0].shape[1])
        features = np.zeros((len(images.names), width), np.float32)
        if len(outputs):
            features[images.readable] = outputs
        texts = {"hash": images.hashes, "label": images.labels, "split": images.splits}
        readable = images.readable.tolist()
        return {
            "path": pyarrow.array(images.names, pyarrow.string()),
            **{
                name: pyarrow.array(
                    [(is_read and text) or None for is_read, text in zip(readable, values, strict=True)],
                    pyarrow.string(),
                )
                for name, values in texts.items()
            },
            "embedding": pyarrow.FixedSizeListArray.from_arrays(
                pyarrow.array(features.ravel()), width, mask=pyarrow.array(~images.readable)
            ),
        }
