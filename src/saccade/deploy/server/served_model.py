"""A served model: its network, its abstention threshold and its metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.deploy.server_messages import ModelInfo, TestResult
from saccade.errors import RunError
from saccade.inference.load_model import load_model
from saccade.inference.onnx_model import OnnxModel, load_inference_onnx
from saccade.inference.ood_detector import OodDetector
from saccade.inference.selective_prediction import Abstention, fit_abstention
from saccade.runs.ood_p_value import OodPValue
from saccade.runs.records import ModelRecord
from saccade.runs.run import Run

# A batch of this many pixels fits into the caches of a processor.
_BATCH_PIXELS = 64 * 32 * 32
_MAX_BATCH_SIZE = 64


@dataclass(frozen=True)
class Scores:
    """Scores of an image.

    Attributes:
        probabilities: class probabilities, float32 [classes].
        ood_p_value: out-of-distribution p-value, 0 to 1; None where the model has none.
    """

    probabilities: NDArray[np.float32]
    ood_p_value: float | None


@dataclass(frozen=True)
class ServedModel:
    """A served model.

    Attributes:
        name: name of the model in request paths.
        version: 1 at the start; each reload adds 1.
        network: ONNX model.
        abstention: confidence threshold, below which a prediction is abstained; None without a target accuracy.
        ood_p_value: OOD p-value of the run; None for an ONNX file, and for a run without pretrained features.
        run_info: metadata from the run: `recipe`, `calibrated`, `test`, `card`; each None for an ONNX file.
    """

    name: str
    version: int
    network: OnnxModel
    abstention: Abstention | None
    ood_p_value: OodPValue | None
    run_info: dict[str, Any]

    @classmethod
    def load(cls, path: str, name: str, version: int, target_accuracy: float | None) -> ServedModel:
        """Load a run or an exported ONNX file.

        A run without a `model.onnx` of its present weights gets this file first, which takes some seconds.

        Args:
            path: path of the run or the file.
            name: name of the model in request paths.
            version: version of the model.
            target_accuracy: accuracy that the predictions which are not abstained have to reach; None: no abstention.

        Raises:
            RunError: the path is neither a run nor such a file, or no threshold reaches the target accuracy.
            ExportError: the network of the run can't be converted to ONNX.
        """
        model = load_model(path)
        if isinstance(model, Run):
            abstention = None if target_accuracy is None else fit_abstention(model, target_accuracy)
            network = _load_or_write_inference_onnx(model)
            return cls(name, version, network, abstention, _ood_p_value(model, network), _run_info(model))
        if not isinstance(model, OnnxModel):
            raise RunError(f"'{path}' can't be served", expected="a run, or an ONNX file that Saccade exported")
        if target_accuracy is not None:
            raise RunError(
                f"the model file '{path}' has no confidence threshold for abstention",
                expected="a run, which keeps its predictions for its validation images",
                remedy="name the run's directory, or leave out the target accuracy",
            )
        return cls(name, version, model, None, None, {"recipe": None, "calibrated": None, "test": None, "card": None})

    @property
    def record(self) -> ModelRecord:
        """The record of the model: classes, preprocessing and origin."""
        return self.network.record

    @property
    def max_batch_size(self) -> int:
        """Most images in a batch: as many as fit into the caches of a processor."""
        preprocessing = self.record.preprocessing
        return max(1, min(_MAX_BATCH_SIZE, _BATCH_PIXELS // (preprocessing.height * preprocessing.width)))

    def predict(self, images: Sequence[NDArray[Any]]) -> list[Scores]:
        """Return the scores of images [height, width, 3] with pixels from 0 to 255."""
        pixels = np.stack(images).astype(np.float32, copy=False)
        if self.ood_p_value is None:
            return [Scores(row, None) for row in self.network.predict_batch(pixels)]
        probabilities, features = self.network.features_of_batch(pixels)
        p_values = self.ood_p_value.p_values(features, probabilities.max(axis=1)).tolist()
        return [Scores(row, p_value) for row, p_value in zip(probabilities, p_values, strict=True)]

    def abstains(self, confidence: float) -> bool:
        """Return whether a prediction of this confidence is abstained."""
        return self.abstention is not None and confidence < self.abstention.threshold

    def info(self) -> ModelInfo:
        """Return the metadata of the model."""
        record, abstention = self.record, self.abstention
        return ModelInfo(
            name=self.name,
            version=str(self.version),
            class_names=record.class_names,
            data=record.data,
            height=record.preprocessing.height,
            width=record.preprocessing.width,
            fit=record.preprocessing.fit,
            tta_views=record.tta_views,
            temperature=record.temperature,
            target_accuracy=None if abstention is None else abstention.target_accuracy,
            confidence_threshold=None if abstention is None else abstention.threshold,
            weights=record.weights,
            versions=record.versions,
            **self.run_info,
        )


def _load_or_write_inference_onnx(run: Run) -> OnnxModel:
    model = load_inference_onnx(run)
    if model is None:
        # These load TensorFlow.
        from saccade.inference.predictor import Predictor
        from saccade.runs.inference_onnx import write_inference_onnx

        write_inference_onnx(run, Predictor.from_run(run).model)
        model = load_inference_onnx(run)
    if model is None:
        raise RunError(
            f"the run '{run.path}' is being changed", remedy="try again once no other process writes to the run"
        )
    return model


def _ood_p_value(run: Run, network: OnnxModel) -> OodPValue | None:
    detector = OodDetector.of_onnx(run, network)
    return None if detector is None else detector.p_value


def _run_info(run: Run) -> dict[str, Any]:
    evaluation = run.evaluation()
    test = None
    if evaluation is not None:
        low, high = evaluation.accuracy_interval
        test = TestResult(accuracy=evaluation.accuracy, low=low, high=high, num_images=evaluation.n)
    return {
        "recipe": run.recipe.name,
        "calibrated": run.calibration() is not None,
        "test": test,
        "card": run.card(),
    }


def model_name(path: str) -> str:
    """Return the name of a model from its path: the name of the directory, or of the file without its suffix."""
    target = Path(path) if Path(path).name not in ("", "..") else Path(path).resolve()
    return target.stem if target.is_file() else target.name
