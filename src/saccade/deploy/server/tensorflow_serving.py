"""TensorFlow Serving's REST protocol: status, metadata and predict.

Source: https://www.tensorflow.org/tfx/serving/api_rest. An instance is the pixels of an image, as the exported
SavedModel takes them, or an image of any size as `{"b64": "..."}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.deploy.server.model_registry import Models, Serving
from saccade.deploy.server.openapi import ERRORS, json_body
from saccade.deploy.server.request_parsing import encoded_image, pixels_of, read_json
from saccade.web.http_errors import RequestError

_SIGNATURE = "serving_default"
_KEYS = ("signature_name", "instances", "inputs")
_IMAGE: dict[str, Any] = {
    "type": "object",
    "properties": {"b64": {"type": "string", "format": "byte"}},
    "required": ["b64"],
    "additionalProperties": False,
}
_PIXELS: dict[str, Any] = {"type": "array", "items": {"type": "array", "items": {"type": "array"}}}
_INSTANCES: dict[str, Any] = {"type": "array", "items": {"anyOf": [_PIXELS, _IMAGE]}}
_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "signature_name": {"const": _SIGNATURE},
        "instances": _INSTANCES,
        "inputs": {"anyOf": [_INSTANCES, {"type": "object", "properties": {"pixels": _INSTANCES}}]},
    },
    "additionalProperties": False,
    "example": {"instances": [{"b64": "iVBORw0KGgo..."}]},
}


@dataclass(frozen=True)
class _ParsedRequest:
    """What a request asks for: pixels, float32 [n, height, width, 3], or n encoded images; in rows or as columns."""

    images: NDArray[np.float32] | list[bytes]
    rows: bool


def routes(models: Models) -> APIRouter:
    """The protocol's paths."""
    router = APIRouter(tags=["TensorFlow Serving"], responses=ERRORS)

    @router.get("/v1/models/{name}", summary="State of a model")
    @router.get("/v1/models/{name}/versions/{version}", summary="State of a version of a model")
    async def status(name: str, version: str | None = None) -> dict[str, Any]:
        serving = models.get(name, version)
        state = {
            "version": str(serving.served.version),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return {"model_version_status": [state]}

    @router.get("/v1/models/{name}/metadata", summary="Inputs and outputs of a model")
    @router.get("/v1/models/{name}/versions/{version}/metadata", summary="Inputs and outputs of a version of a model")
    async def metadata(name: str, version: str | None = None) -> dict[str, Any]:
        return _metadata(models.get(name, version))

    @router.post("/v1/models/{name}:predict", summary="Class probabilities of images", openapi_extra=json_body(_BODY))
    @router.post(
        "/v1/models/{name}/versions/{version}:predict",
        summary="Class probabilities of images, by that version",
        openapi_extra=json_body(_BODY),
    )
    async def predict(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
        serving = models.get(name, version)
        parsed = await read_json(request, lambda value: _understand(value, serving.served.record.preprocessing))
        predictions = await models.probabilities(serving, parsed.images)
        rows = [prediction.tolist() for prediction in predictions]
        return {"predictions": rows} if parsed.rows else {"outputs": rows}

    return router


def _understand(value: dict[str, Any], preprocessing: Preprocessing) -> _ParsedRequest:
    unknown = [key for key in value if key not in _KEYS]
    if unknown or ("instances" in value) == ("inputs" in value):
        raise RequestError(400, "expected either instances or inputs, and perhaps signature_name, in the JSON object")
    if value.get("signature_name", _SIGNATURE) != _SIGNATURE:
        raise RequestError(400, f"the only signature is {_SIGNATURE}")
    rows = "instances" in value
    given = value["instances" if rows else "inputs"]
    if not rows and isinstance(given, dict):
        given = _only_value(given)
    if not isinstance(given, list) or not given:
        raise RequestError(400, "expected a list of images")
    instances = [_only_value(item) if _is_named(item) else item for item in given]
    if all(isinstance(item, dict) for item in instances):
        return _ParsedRequest([encoded_image(item.get("b64")) for item in instances], rows)
    return _ParsedRequest(pixels_of(instances, preprocessing), rows)


def _is_named(instance: Any) -> bool:
    """Whether an instance names the input that it is for, as it may."""
    return isinstance(instance, dict) and "b64" not in instance


def _only_value(named: dict[str, Any]) -> Any:
    if list(named) != ["pixels"]:
        raise RequestError(400, "the only input is named pixels")
    return named["pixels"]


def _metadata(serving: Serving) -> dict[str, Any]:
    record = serving.served.record
    shapes = {
        "inputs": {"pixels": [-1, record.preprocessing.height, record.preprocessing.width, 3]},
        "outputs": {"probabilities": [-1, len(record.class_names)]},
    }
    described = {
        side: {
            name: {
                "dtype": "DT_FLOAT",
                "name": f"{_SIGNATURE}_{name}:0",
                "tensor_shape": {
                    "unknown_rank": False,
                    "dim": [{"size": str(size), "name": ""} for size in shape],
                },
            }
            for name, shape in tensors.items()
        }
        for side, tensors in shapes.items()
    }
    signature = {**described, "method_name": "tensorflow/serving/predict"}
    return {
        "model_spec": {
            "name": serving.served.name,
            "signature_name": "",
            "version": str(serving.served.version),
        },
        "metadata": {"signature_def": {"signature_def": {_SIGNATURE: signature}}},
    }
