"""Body of a request."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from saccade.web.http_errors import RequestError


async def read_body(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        RequestError: the body is too large (raised by the guard), or the client has disconnected.
    """
    try:
        return await request.body()
    except ClientDisconnect:
        raise RequestError(408, "the client disconnected before the end of the request") from None
