"""What the OpenAPI page says of bodies and errors, which the paths read and raise themselves."""

from __future__ import annotations

from typing import Any

from saccade.deploy.server_messages import Error

_REASONS = {
    400: "The request can't be understood.",
    401: "The token is missing or wrong.",
    404: "There is no such model, or no such version of it.",
    413: "The body is too large, or holds too many images.",
    415: "It is no image of a known kind.",
    422: "The image is damaged, or has too many pixels.",
    503: "Too many requests are waiting; the header Retry-After says after how many seconds to try again.",
    504: "There was no answer in time.",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": reason} for status, reason in _REASONS.items()
}
IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a JPEG, PNG, GIF, BMP or WebP file.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """The description of a path whose body is JSON of a schema."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
