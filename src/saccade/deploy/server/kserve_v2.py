"""The Open Inference Protocol (KServe v2) in JSON over HTTP: metadata and inference.

Source: https://github.com/kserve/open-inference-protocol, `specification/protocol/inference_rest.md`. The input of a
model is either the tensor "pixels", or the tensor "images" of BYTES: encoded images of any size, in base64.
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
from saccade.deploy.server.request_parsing import parse_base64_images, parse_pixels, read_json
from saccade.web.http_errors import RequestError

_MAX_DIMENSIONS, _MAX_SIZE = 4, 1 << 31
_PIXEL_TYPES = ("UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "UINT64", "INT64", "FP16", "FP32", "FP64")
_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"enum": ["pixels", "images"]},
                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
                    "datatype": {"enum": [*_PIXEL_TYPES, "BYTES"]},
                    "parameters": {"type": "object"},
                    "data": {"type": "array"},
                },
                "required": ["name", "shape", "datatype", "data"],
            },
        },
        "outputs": {"type": "array", "items": {"type": "object", "properties": {"name": {"const": "probabilities"}}}},
    },
    "required": ["inputs"],
    "example": {"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": ["iVBORw0KGgo..."]}]},
}


@dataclass(frozen=True)
class _ParsedRequest:
    """A parsed inference request.

    Attributes:
        images: pixels, float32 [n, height, width, 3], or n encoded images.
        request_id: identifier that the client gave the request; None without one.
    """

    images: NDArray[np.float32] | list[bytes]
    request_id: str | None


def routes(models: ModelRegistry, version: str) -> APIRouter:
    """Return the routes of the protocol; `version` is the version of the server."""
    router = APIRouter(tags=["Open Inference Protocol"], responses=ERRORS)

    @router.get("/v2", summary="Metadata of the server")
    async def server() -> dict[str, Any]:
        return {"name": "saccade", "version": version, "extensions": []}

    @router.get("/v2/models/{name}", summary="Inputs and outputs of a model")
    @router.get("/v2/models/{name}/versions/{version}", summary="Inputs and outputs of a version of a model")
    async def metadata(name: str, version: str | None = None) -> dict[str, Any]:
        return _metadata(models.get(name, version))

    @router.get("/v2/models/{name}/ready", summary="Readiness of a model")
    @router.get("/v2/models/{name}/versions/{version}/ready", summary="Readiness of a version of a model")
    async def ready(name: str, version: str | None = None) -> dict[str, Any]:
        return {"name": models.get(name, version).model.name, "ready": True}

    @router.post("/v2/models/{name}/infer", summary="Class probabilities of images", openapi_extra=json_body(_BODY))
    @router.post(
        "/v2/models/{name}/versions/{version}/infer",
        summary="Class probabilities of images, by a version of a model",
        openapi_extra=json_body(_BODY),
    )
    async def infer(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
        instance = models.get(name, version)
        parsed = await read_json(request, lambda value: _parse(value, instance.model.record.preprocessing))
        predictions = await models.probabilities(instance, parsed.images)
        probabilities = {
            "name": "probabilities",
            "shape": [len(predictions), len(instance.model.record.class_names)],
            "datatype": "FP32",
            "data": [value for prediction in predictions for value in prediction.tolist()],
        }
        request_id = {} if parsed.request_id is None else {"id": parsed.request_id}
        response = {"model_name": instance.model.name, "model_version": str(instance.model.version)}
        return {**response, **request_id, "outputs": [probabilities]}

    return router


def _parse(value: dict[str, Any], preprocessing: Preprocessing) -> _ParsedRequest:
    request_id, inputs = value.get("id"), value.get("inputs")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError(400, "id is not a text")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(400, "expected the key inputs with a list of one input, named pixels or images")
    _check_outputs(value.get("outputs", []))
    tensor = inputs[0]
    shape, data = tensor.get("shape"), tensor.get("data")
    # The sizes are checked before they are multiplied: the product of many large numbers takes minutes.
    if not isinstance(shape, list) or not 1 <= len(shape) <= _MAX_DIMENSIONS or not all(map(_is_size, shape)):
        raise RequestError(400, "the shape of an input has to be a list of one to four whole numbers greater than 0")
    if not isinstance(data, list):
        raise RequestError(400, "the data of an input is not a list")
    if tensor.get("name") == "images" and tensor.get("datatype") == "BYTES":
        if shape != [len(data)]:
            raise RequestError(400, f"the shape of {len(data)} images has to be [{len(data)}]")
        return _ParsedRequest(parse_base64_images(data), request_id)
    if tensor.get("name") == "pixels" and tensor.get("datatype") in _PIXEL_TYPES:
        return _ParsedRequest(parse_pixels(data, preprocessing, shape), request_id)
    raise RequestError(400, "expected the input pixels of numbers, or the input images of BYTES")


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value < _MAX_SIZE


def _check_outputs(outputs: Any) -> None:
    if not isinstance(outputs, list) or any(
        not isinstance(output, dict) or output.get("name") != "probabilities" for output in outputs
    ):
        raise RequestError(400, "the only output is probabilities")


def _metadata(instance: ModelInstance) -> dict[str, Any]:
    record = instance.model.record
    return {
        "name": instance.model.name,
        "versions": [str(instance.model.version)],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {
                "name": "pixels",
                "datatype": "FP32",
                "shape": [-1, record.preprocessing.height, record.preprocessing.width, 3],
            },
            {"name": "images", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, len(record.class_names)]}],
    }
