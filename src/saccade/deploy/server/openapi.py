"""Descriptions of bodies and errors on the OpenAPI page; the routes read the bodies and raise the errors themselves."""

from __future__ import annotations

from typing import Any

from saccade.deploy.server_messages import Error

_REASONS = {
    400: "The request is malformed.",
    401: "The token is missing or incorrect.",
    404: "There is no such model, or no such version of the model.",
    413: "The body is too large, or holds too many images.",
    415: "The body is not an image of a supported format.",
    422: "The image is damaged, or has too many pixels.",
    503: "Too many requests are waiting; the header Retry-After gives the seconds to wait before another try.",
    504: "There was no response in time.",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": reason} for status, reason in _REASONS.items()
}
IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF or HEIC file.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            },
        },
    }
}


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of a JSON body with this schema."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
