"""The Open Inference Protocol (KServe v2), by JSON over HTTP: health, metadata and inference.

Source: https://github.com/kserve/open-inference-protocol, `specification/protocol/inference_rest.md`. A model takes
either the tensor "pixels" or the tensor "images", encoded images of any size as base64 in a tensor of BYTES.
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

_MOST_DIMENSIONS, _LARGEST_SIZE = 4, 1 << 31
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
    """What a request asks for: pixels, float32 [n, height, width, 3], or n encoded images; and its own name."""

    images: NDArray[np.float32] | list[bytes]
    identity: str | None


def routes(models: Models, version: str) -> APIRouter:
    """The protocol's paths; `version` is the server's."""
    router = APIRouter(tags=["Open Inference Protocol"], responses=ERRORS)

    @router.get("/v2", summary="What this server is")
    async def server() -> dict[str, Any]:
        return {"name": "saccade", "version": version, "extensions": []}

    @router.get("/v2/models/{name}", summary="Inputs and outputs of a model")
    @router.get("/v2/models/{name}/versions/{version}", summary="Inputs and outputs of a version of a model")
    async def metadata(name: str, version: str | None = None) -> dict[str, Any]:
        return _metadata(models.get(name, version))

    @router.get("/v2/models/{name}/ready", summary="Whether a model answers")
    @router.get("/v2/models/{name}/versions/{version}/ready", summary="Whether a version of a model answers")
    async def ready(name: str, version: str | None = None) -> dict[str, Any]:
        return {"name": models.get(name, version).served.name, "ready": True}

    @router.post("/v2/models/{name}/infer", summary="Class probabilities of images", openapi_extra=json_body(_BODY))
    @router.post(
        "/v2/models/{name}/versions/{version}/infer",
        summary="Class probabilities of images, by that version",
        openapi_extra=json_body(_BODY),
    )
    async def infer(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
        serving = models.get(name, version)
        parsed = await read_json(request, lambda value: _understand(value, serving.served.record.preprocessing))
        predictions = await models.probabilities(serving, parsed.images)
        probabilities = {
            "name": "probabilities",
            "shape": [len(predictions), len(serving.served.record.class_names)],
            "datatype": "FP32",
            "data": [value for prediction in predictions for value in prediction.tolist()],
        }
        identity = {} if parsed.identity is None else {"id": parsed.identity}
        response = {"model_name": serving.served.name, "model_version": str(serving.served.version)}
        return {**response, **identity, "outputs": [probabilities]}

    return router


def _understand(value: dict[str, Any], preprocessing: Preprocessing) -> _ParsedRequest:
    identity, inputs = value.get("id"), value.get("inputs")
    if identity is not None and not isinstance(identity, str):
        raise RequestError(400, "id is a text")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(400, "expected a list of one input, named pixels or images")
    _check_outputs(value.get("outputs", []))
    given = inputs[0]
    shape, data = given.get("shape"), given.get("data")
    # Before they are multiplied: the product of many large numbers takes minutes.
    if not isinstance(shape, list) or not 1 <= len(shape) <= _MOST_DIMENSIONS or not all(map(_is_size, shape)):
        raise RequestError(400, "the shape of an input is a list of one to four whole numbers greater than 0")
    if not isinstance(data, list):
        raise RequestError(400, "the data of an input is a list")
    if given.get("name") == "images" and given.get("datatype") == "BYTES":
        if shape != [len(data)]:
            raise RequestError(400, f"the shape of {len(data)} images is [{len(data)}]")
        return _ParsedRequest([encoded_image(text) for text in data], identity)
    if given.get("name") == "pixels" and given.get("datatype") in _PIXEL_TYPES:
        return _ParsedRequest(pixels_of(data, preprocessing, shape), identity)
    raise RequestError(400, "expected the input pixels of numbers, or the input images of BYTES")


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value < _LARGEST_SIZE


def _check_outputs(outputs: Any) -> None:
    if not isinstance(outputs, list) or any(
        not isinstance(output, dict) or output.get("name") != "probabilities" for output in outputs
    ):
        raise RequestError(400, "the only output is probabilities")


def _metadata(serving: Serving) -> dict[str, Any]:
    record = serving.served.record
    return {
        "name": serving.served.name,
        "versions": [str(serving.served.version)],
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
