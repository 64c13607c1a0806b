"""What the server answers where."""

from __future__ import annotations

import logging
from collections.abc import Collection
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from saccade.deploy.server import image_api, kserve_v2, static_files, tensorflow_serving
from saccade.deploy.server.metrics import Metrics
from saccade.deploy.server.middleware import FAULT, Guard, State
from saccade.deploy.server.model_registry import Models
from saccade.deploy.server.openapi import ERRORS, json_body
from saccade.deploy.server.request_parsing import read_body
from saccade.errors import SaccadeError
from saccade.web.http_errors import RequestError
from saccade.web.limits import Limits

_log = logging.getLogger("saccade.server")


class Reload(BaseModel):
    """Which models to open again: that of a name, or all."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None


def make_app(
    models: Models, limits: Limits, metrics: Metrics, state: State, *, hosts: Collection[str], token: str | None
) -> ASGIApp:
    """The whole of it, guard included.

    Args:
        models: that answer.
        limits: on size and time.
        metrics: are shown, and told of every request.
        state: of the server.
        hosts: names, beside addresses, that requests may call the server by.
        token: that requests must bring; None: none.
    """
    own_version = version("saccade")
    app = FastAPI(title="Saccade", version=own_version, description="Classifies images.", docs_url=None, redoc_url=None)
    app.include_router(image_api.routes(models))
    app.include_router(tensorflow_serving.routes(models))
    app.include_router(kserve_v2.routes(models, own_version))
    app.include_router(_operating(models, metrics, state, token))
    app.include_router(_pages(app))
    app.exception_handler(RequestError)(_error_response)
    app.exception_handler(HTTPException)(_no_such_path)
    app.exception_handler(RequestValidationError)(_misunderstood)
    app.exception_handler(Exception)(_fault)
    return Guard(app, limits, metrics, state, hosts=hosts, token=token)


def _operating(models: Models, metrics: Metrics, state: State, token: str | None) -> APIRouter:
    router = APIRouter(tags=["Operating"], responses={status: ERRORS[status] for status in (400, 401, 503)})

    @router.get("/v2/health/live", summary="Whether the server runs")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/v2/health/ready", summary="Whether the server takes requests")
    async def ready() -> dict[str, bool]:
        if state.ending:
            raise RequestError(503, "the server is ending", retry_after=1)
        return {"ready": True}

    @router.get("/metrics", summary="Counts for Prometheus", response_class=Response)
    async def exposition() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.post(
        "/admin/reload",
        summary="Open what now lies at the models' paths, and let it answer from then on",
        responses={403: {**ERRORS[401], "description": "The server was started without a token."}, 409: ERRORS[400]},
        openapi_extra={**json_body(Reload.model_json_schema())},
    )
    async def reload(request: Request) -> dict[str, Any]:
        if token is None:
            raise RequestError(403, "a server without a token can't be told to do that: start it with --token-file")
        body = await read_body(request)
        try:
            name = Reload.model_validate_json(body or b"{}").model
        except ValueError:
            raise RequestError(400, 'expected {"model": NAME}, or nothing for all models') from None
        try:
            exchanged = await models.reload(None if name is None else [name])
        except SaccadeError as error:
            _log.error("a model could not be reloaded: %s", error)
            raise RequestError(409, "what lies there can't be served; the server's log says why") from None
        return {"models": [{"name": one.served.name, "version": str(one.served.version)} for one in exchanged]}

    return router


def _pages(app: FastAPI) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    for path, (file, kind) in static_files.FILES.items():
        router.add_api_route(path, _file(file, kind), methods=["GET", "HEAD"])

    @router.get("/docs")
    def docs() -> HTMLResponse:  # in a thread
        from saccade.html.render import render  # loads matplotlib

        return HTMLResponse(render("api.html", document=app.openapi()))

    return router


def _file(name: str, kind: str) -> Any:
    contents = (static_files.FOLDER / name).read_bytes()

    async def respond() -> Response:
        return Response(contents, media_type=kind)

    return respond


async def _error_response(_: Request, error: RequestError) -> Response:
    return JSONResponse({"error": error.reason}, error.status, error.headers)


async def _no_such_path(_: Request, error: HTTPException) -> Response:
    reasons = {404: "there is nothing here: GET /docs lists what there is", 405: "this path takes another method"}
    reason = reasons.get(error.status_code, error.detail)
    return JSONResponse({"error": reason}, error.status_code, error.headers)


async def _misunderstood(_: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, 400)


async def _fault(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": FAULT}, 500)
