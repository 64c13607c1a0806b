"""Files of a page that a server sends as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response


def static_routes(folder: Path, files: Mapping[str, tuple[str, str]]) -> APIRouter:
    """Return the routes of the files of a page, which are read once.

    Args:
        folder: folder of the files.
        files: path of a route -> name of the file in the folder, media type.
    """
    router = APIRouter(include_in_schema=False)
    for path, (name, media_type) in files.items():
        router.add_api_route(path, _sender((folder / name).read_bytes(), media_type), methods=["GET", "HEAD"])
    return router


def _sender(contents: bytes, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def respond() -> Response:
        return Response(contents, media_type=media_type)

    return respond
