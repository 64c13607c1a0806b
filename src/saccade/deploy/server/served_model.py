"""A model as the server holds it: what answers, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.deploy.server_messages import ModelInfo, TestResult
from saccade.errors import RunError
from saccade.inference.load_model import open_model
from saccade.inference.onnx_model import OnnxModel, light_model
from saccade.inference.selective_prediction import Abstention, abstention_of
from saccade.runs.records import ModelRecord
from saccade.runs.run import Run

_BATCH_PIXELS = 64 * 32 * 32
_MOST_IN_BATCH = 64


@dataclass(frozen=True)
class ServedModel:
    """A model as the server holds it.

    Attributes:
        name: by which it is asked for.
        version: 1 at the start, more with each reload.
        model: answers.
        abstention: below which confidence an answer is "abstained"; None if no promise was asked for.
        run: what is told of the run that it comes from: `recipe`, `calibrated`, `test`, `card`; None for a file.
    """

    name: str
    version: int
    model: OnnxModel
    abstention: Abstention | None
    run: dict[str, Any]

    @classmethod
    def open(cls, path: str, name: str, version: int, target_accuracy: float | None) -> ServedModel:
        """Opens a run, or an ONNX file that was exported.

        A run without a `model.onnx` of its present weights gets one, which takes some seconds.

        Args:
            path: of the run or the file.
            name: by which it will be asked for.
            version: of it.
            target_accuracy: the part of its answers that is to be right; None: it never says "abstained".

        Raises:
            RunError: it is neither, or can't keep the promise.
            ExportError: its model can't be brought into this form.
        """
        opened = open_model(path)
        if isinstance(opened, Run):
            abstention = None if target_accuracy is None else abstention_of(opened, target_accuracy)
            return cls(name, version, _light_model_of(opened), abstention, _model_details(opened))
        if not isinstance(opened, OnnxModel):
            raise RunError(f"'{path}' can't be served", expected="a run, or an ONNX file that Saccade exported")
        if target_accuracy is not None:
            raise RunError(
                f"'{path}' alone can't tell when to say 'abstained'",
                expected="a run, which keeps its answers to its validation images",
                remedy="name the run's directory, or leave the promise out",
            )
        return cls(name, version, opened, None, {"recipe": None, "calibrated": None, "test": None, "card": None})

    @property
    def record(self) -> ModelRecord:
        """What goes with the model."""
        return self.model.record

    @property
    def most_in_batch(self) -> int:
        """Images that are answered together: as many as fit into the processor's caches."""
        return max(
            1,
            min(_MOST_IN_BATCH, _BATCH_PIXELS // (self.record.preprocessing.height * self.record.preprocessing.width)),
        )

    def predict(self, images: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Class probabilities, float32 [classes], of each image [height, width, 3] of pixels from 0 to 255."""
        return list(self.model.predict_batch(np.stack(images).astype(np.float32, copy=False)))

    def abstains(self, probability: float) -> bool:
        """Whether an answer of that confidence is none."""
        return self.abstention is not None and probability < self.abstention.threshold

    def info(self) -> ModelInfo:
        """All that is told of it."""
        record, abstention = self.record, self.abstention
        return ModelInfo(
            name=self.name,
            version=str(self.version),
            class_names=record.class_names,
            data=record.data,
            height=record.preprocessing.height,
            width=record.preprocessing.width,
            tta_views=record.tta_views,
            temperature=record.temperature,
            target_accuracy=None if abstention is None else abstention.target_accuracy,
            confidence_threshold=None if abstention is None else abstention.threshold,
            weights=record.weights,
            versions=record.versions,
            **self.run,
        )


def _light_model_of(run: Run) -> OnnxModel:
    model = light_model(run)
    if model is None:
        # These load TensorFlow.
        from saccade.inference.predictor import Predictor
        from saccade.runs.inference_onnx import write_inference_onnx

        write_inference_onnx(run, Predictor.from_run(run).model)
        model = light_model(run)
    if model is None:
        raise RunError(f"the run '{run.path}' is being changed", remedy="try again once nothing writes to it")
    return model


def _model_details(run: Run) -> dict[str, Any]:
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


def name_of(path: str) -> str:
    """The name under which a run or a file is served: that of the directory, or of the file without its ending."""
    named = Path(path) if Path(path).name not in ("", "..") else Path(path).resolve()
    return named.stem if named.is_file() else named.name
