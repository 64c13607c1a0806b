"""The ASGI application of the server: its page, its protocols and its operation."""

from __future__ import annotations

import logging
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from saccade.deploy.server import image_api, kserve_v2, tensorflow_serving
from saccade.deploy.server.metrics import Metrics
from saccade.deploy.server.model_registry import ModelRegistry
from saccade.deploy.server.openapi import ERRORS, json_body
from saccade.errors import SaccadeError
from saccade.web.http_errors import RequestError, add_error_handlers
from saccade.web.limits import Limits
from saccade.web.middleware import Guard, RequestPolicy, ServerState
from saccade.web.request_body import read_body
from saccade.web.static_files import static_routes

STATIC_FOLDER = Path(__file__).parent / "static"
STATIC_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/results.js": ("results.js", "text/javascript"),
    "/camera.js": ("camera.js", "text/javascript"),
    "/dom.js": ("dom.js", "text/javascript"),
    "/heatmap.js": ("heatmap.js", "text/javascript"),
    "/models.js": ("models.js", "text/javascript"),
    "/format.js": ("format.js", "text/javascript"),
    "/api.js": ("api.js", "text/javascript"),
}
"""Files of the page: path -> name of the file in `static/`, media type."""

_LIVE, _READY, _RELOAD = "/v2/health/live", "/v2/health/ready", "/admin/reload"
_log = logging.getLogger("saccade.server")


class Reload(BaseModel):
    """The models to load again: one by its name, or all."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None


def make_app(
    models: ModelRegistry,
    limits: Limits,
    metrics: Metrics,
    state: ServerState,
    *,
    hosts: Collection[str],
    token: str | None,
    origins: Collection[str] = (),
) -> ASGIApp:
    """Return the application behind its guard.

    Args:
        models: models of the server.
        limits: limits on size and time.
        metrics: metrics of the server, which record every request.
        state: state of the server.
        hosts: names of the server, besides IP addresses.
        token: bearer token that requests must carry; None: no token.
        origins: origins of other pages that may read the responses (CORS); "*": any page.
    """
    saccade_version = version("saccade")
    app = FastAPI(
        title="Saccade", version=saccade_version, description="Classifies images.", docs_url=None, redoc_url=None
    )
    app.include_router(image_api.routes(models))
    app.include_router(tensorflow_serving.routes(models))
    app.include_router(kserve_v2.routes(models, saccade_version))
    app.include_router(_operation(models, metrics, state, token))
    app.include_router(_page(app))
    add_error_handlers(app)
    policy = RequestPolicy(
        hosts,
        token,
        health_paths=(_LIVE, _READY),
        public_paths=(*STATIC_FILES, "/docs", "/openapi.json"),
        paths_without_timeout=(_RELOAD,),
    )
    guard = Guard(app, limits, metrics, state, policy)
    if not origins:
        return guard
    headers = ("authorization", "content-type")
    return CORSMiddleware(guard, allow_origins=origins, allow_methods=("GET", "POST"), allow_headers=headers)


def _operation(models: ModelRegistry, metrics: Metrics, state: ServerState, token: str | None) -> APIRouter:
    router = APIRouter(tags=["Operation"], responses={status: ERRORS[status] for status in (400, 401, 503)})

    @router.get(_LIVE, summary="Liveness of the server")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get(_READY, summary="Readiness of the server for requests")
    async def ready() -> dict[str, bool]:
        if state.shutting_down:
            raise RequestError(503, "the server is shutting down", retry_after=1)
        return {"ready": True}

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def exposition() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.post(
        _RELOAD,
        summary="Load the models from their paths again, and replace the served ones",
        responses={
            403: {**ERRORS[401], "description": "The server was started without a token."},
            409: {**ERRORS[400], "description": "The new model can't be served. The server's log gives the reason."},
        },
        openapi_extra={**json_body(Reload.model_json_schema())},
    )
    async def reload(request: Request) -> dict[str, Any]:
        if token is None:
            raise RequestError(403, "a server without a token does not reload models: start it with --token-file")
        body = await read_body(request)
        try:
            name = Reload.model_validate_json(body or b"{}").model
        except ValueError:
            raise RequestError(400, 'expected {"model": NAME}, or an empty body for all models') from None
        try:
            reloaded = await models.reload(None if name is None else [name])
        except SaccadeError as error:
            _log.error("a model could not be reloaded: %s", error)
            raise RequestError(409, "the new model can't be served; the server's log gives the reason") from None
        return {"models": [{"name": one.model.name, "version": str(one.model.version)} for one in reloaded]}

    return router


def _page(app: FastAPI) -> APIRouter:
    router = static_routes(STATIC_FOLDER, STATIC_FILES)

    @router.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:  # not async, so that FastAPI runs it in a thread
        from saccade.html.render import render  # loads matplotlib

        return HTMLResponse(render("api.html", document=app.openapi()))

    return router
