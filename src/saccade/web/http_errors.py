"""Error responses: JSON with one sentence for the client, without paths, versions or traces of this machine."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

SERVER_ERROR = "an error of the server itself; its log has the details"


class RequestError(Exception):
    """A request gets an error response.

    Args:
        status: HTTP status.
        reason: one plain sentence without paths or versions.
        retry_after: seconds until the client should try again, for status 503.
    """

    def __init__(self, status: int, reason: str, *, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Additional headers of the response."""
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}


def add_error_handlers(app: FastAPI) -> None:
    """Make an application send every error as JSON: {"error": reason}."""
    app.exception_handler(RequestError)(_request_error)
    app.exception_handler(HTTPException)(_http_exception)
    app.exception_handler(RequestValidationError)(_validation_error)
    app.exception_handler(Exception)(_server_error)


async def _request_error(_: Request, error: RequestError) -> JSONResponse:
    return JSONResponse({"error": error.reason}, error.status, error.headers)


async def _http_exception(_: Request, error: HTTPException) -> JSONResponse:
    reasons = {404: "there is nothing at this path", 405: "this path takes another method"}
    reason = reasons.get(error.status_code, error.detail)
    return JSONResponse({"error": reason}, error.status_code, error.headers)


async def _validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, 400)


async def _server_error(_: Request, __: Exception) -> JSONResponse:
    return JSONResponse({"error": SERVER_ERROR}, 500)
