"""TensorFlow Serving's REST protocol: status, metadata and predict.

Source: https://www.tensorflow.org/tfx/serving/api_rest. An instance is either the pixels of an image, as for the
exported SavedModel, or an encoded image of any size, `{"b64": "..."}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.deploy.server.model_registry import ModelInstance, ModelRegistry
from saccade.deploy.server.openapi import ERRORS, json_body
from saccade.deploy.server.request_parsing import (
    named_image,
    parse_base64_images,
    parse_pixels,
    read_json,
    short_name,
)
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
    """A parsed predict request.

    Attributes:
        images: pixels, float32 [n, height, width, 3], or n encoded images.
        row_format: whether the request is in the row format ("instances") or in the column format ("inputs").
    """

    images: NDArray[np.float32] | list[bytes]
    row_format: bool


def routes(models: ModelRegistry) -> APIRouter:
    """Return the routes of the protocol."""
    router = APIRouter(tags=["TensorFlow Serving"], responses=ERRORS)

    @router.get("/v1/models/{name}", summary="Status of a model")
    @router.get("/v1/models/{name}/versions/{version}", summary="Status of a version of a model")
    async def status(name: str, version: str | None = None) -> dict[str, Any]:
        instance = models.get(name, version)
        state = {
            "version": str(instance.model.version),
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
        summary="Class probabilities of images, by a version of a model",
        openapi_extra=json_body(_BODY),
    )
    async def predict(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
        instance = models.get(name, version)
        parsed = await read_json(request, lambda value: _parse(value, instance.model.record.preprocessing))
        predictions = await models.probabilities(instance, parsed.images)
        return {"predictions" if parsed.row_format else "outputs": [prediction.tolist() for prediction in predictions]}

    return router


def _parse(value: dict[str, Any], preprocessing: Preprocessing) -> _ParsedRequest:
    unknown = [key for key in value if key not in _KEYS]
    if unknown or ("instances" in value) == ("inputs" in value):
        found = f"the unknown key {short_name(unknown[0])}" if unknown else "both" if "inputs" in value else "neither"
        expected = "a JSON object with either instances or inputs, and optionally signature_name"
        raise RequestError(400, f"expected {expected}; found {found}")
    if value.get("signature_name", _SIGNATURE) != _SIGNATURE:
        raise RequestError(400, f"the only signature is {_SIGNATURE}")
    row_format = "instances" in value
    items = value["instances" if row_format else "inputs"]
    if not row_format and isinstance(items, dict) and "b64" in items:
        raise RequestError(400, 'inputs is a list of images, such as [{"b64": "..."}]; found one image')
    if not row_format and isinstance(items, dict):
        items = _input_of(items, "")
    if not isinstance(items, list) or not items:
        raise RequestError(400, "expected a list of images")
    instances = [
        _input_of(item, named_image(position, len(items))) if _names_input(item) else item
        for position, item in enumerate(items)
    ]
    encoded = [isinstance(instance, dict) for instance in instances]
    if any(encoded) and not all(encoded):
        which = named_image(encoded.index(not encoded[0]), len(items))
        raise RequestError(400, f"{which}expected images in base64 or pixels, and found both in one request")
    if all(encoded):
        return _ParsedRequest(parse_base64_images([instance.get("b64") for instance in instances]), row_format)
    return _ParsedRequest(parse_pixels(instances, preprocessing), row_format)


def _names_input(instance: Any) -> bool:
    """Return whether an instance gives the name of its input, which is optional."""
    return isinstance(instance, dict) and "b64" not in instance


def _input_of(named: dict[str, Any], which: str) -> Any:
    if list(named) != ["pixels"]:
        found = f"the key {short_name(next(key for key in named if key != 'pixels'))}" if named else "no key"
        raise RequestError(
            400, f"{which}an image is the key b64 with a text in base64, or the key pixels; found {found}"
        )
    return named["pixels"]


def _metadata(instance: ModelInstance) -> dict[str, Any]:
    record = instance.model.record
    shapes = {
        "inputs": {"pixels": [-1, record.preprocessing.height, record.preprocessing.width, 3]},
        "outputs": {"probabilities": [-1, len(record.class_names)]},
    }
    tensors_by_side = {
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
    signature = {**tensors_by_side, "method_name": "tensorflow/serving/predict"}
    return {
        "model_spec": {
            "name": instance.model.name,
            "signature_name": "",
            "version": str(instance.model.version),
        },
        "metadata": {"signature_def": {"signature_def": {_SIGNATURE: signature}}},
    }
