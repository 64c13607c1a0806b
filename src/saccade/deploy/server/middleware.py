"""Who may ask, how much, and how long: what every request passes before it is looked at."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
from collections.abc import Collection, Iterable
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from saccade.deploy.server import static_files
from saccade.deploy.server.metrics import Metrics
from saccade.web.http_errors import RequestError
from saccade.web.limits import Limits

HEALTH = ("/v2/health/live", "/v2/health/ready")
PAGE = (*static_files.FILES, "/docs", "/openapi.json")

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
]
_log = logging.getLogger("saccade.server")
FAULT = "a fault of the server's own; its log says more"


class State:
    """Whether the server still takes requests.

    Attributes:
        ending: it answers what it has, and tells those who ask that it is not ready for more.
    """

    def __init__(self) -> None:
        self.ending = False


class Guard:
    """What every request passes before it is looked at; what it is answered with passes it again.

    Args:
        app: what it guards.
        limits: on size and time.
        metrics: are told of every request.
        state: of the server.
        hosts: names, beside addresses and this machine's own, that requests may call the server by.
        token: that requests must bring; None: none.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        state: State,
        *,
        hosts: Collection[str],
        token: str | None,
    ) -> None:
        self._app, self._limits, self._metrics, self.state = app, limits, metrics, state
        self._hosts = frozenset(host.lower().rstrip(".") for host in hosts)
        self._token = None if token is None else token.encode()
        self._requests = 0
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or lets it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send, self)
        begun = monotonic()
        self._requests += 1
        try:
            await self._respond(request)
        finally:
            self._requests -= 1
            self._bytes -= request.size
            self._metrics.request(_path_of(scope), request.status, monotonic() - begun)

    async def _respond(self, request: _Request) -> None:
        try:
            self._check(request.scope)
            # To put another model in place takes as long as it takes.
            limit = None if request.scope["path"].startswith("/admin/") else self._limits.seconds
            async with asyncio.timeout(limit):
                await self._app(request.scope, request.receive, request.send)
        except RequestError as error:
            await request.send_error(error)
        except TimeoutError:
            await request.send_error(RequestError(504, f"there was no answer within {self._limits.seconds:g} seconds"))
        except Exception:
            _log.exception("a request could not be answered")
            await request.send_error(RequestError(500, FAULT))

    def _check(self, scope: Scope) -> None:
        headers = scope["headers"]
        if not self._is_ours(_only(headers, b"host")):
            raise RequestError(421, "this server is not called that: see the option --allow-host")
        path = scope["path"]
        if path in HEALTH:
            return
        if self._token is not None and path not in PAGE and not self._is_known(_only(headers, b"authorization")):
            raise RequestError(401, "this server asks for a token: Authorization: Bearer TOKEN")
        if self._requests > self._limits.requests:
            raise RequestError(503, "too many requests are waiting", retry_after=1)
        length = _only(headers, b"content-length")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            raise self.too_large()
        if _only(headers, b"content-encoding") not in (b"", b"identity"):
            raise RequestError(415, "bodies must not be compressed")

    def _is_ours(self, host: bytes) -> bool:
        """Whether a Host header names this server.

        A page from elsewhere can make its own name point to this machine, and would then be taken by the browser for
        one of ours (DNS rebinding); it can't do so with a bare address, or with "localhost".
        """
        name = host.decode("latin-1").lower()
        name = name[: name.rindex("]") + 1] if "]" in name else name.partition(":")[0]
        if name.rstrip(".") in self._hosts:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _is_known(self, authorization: bytes) -> bool:
        scheme, _, token = authorization.partition(b" ")
        known = hmac.compare_digest(token.strip(), self._token or b"")
        return known and scheme.lower() == b"bearer"

    def count(self, request: _Request, size: int) -> None:
        """So many more bytes of a request's body have come.

        Raises:
            RequestError: they are too many for it, or for all together.
        """
        request.size += size
        self._bytes += size
        if request.size > self._limits.body_bytes:
            raise self.too_large()
        if self._bytes > self._limits.waiting_bytes:
            raise RequestError(503, "too many requests are waiting", retry_after=1)

    def too_large(self) -> RequestError:
        """What a request is refused with whose body is too large."""
        return RequestError(413, f"too large: {self._limits.body_bytes:,} bytes are the most")


class _Request:
    """A request on its way through the guard.

    Attributes:
        scope: of ASGI.
        size: bytes of its body so far.
        status: of the answer; 499 where there was none, because the client had gone.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, guard: Guard) -> None:
        self.scope = scope
        self.size = 0
        self.status = 499
        self._receive, self._send, self._guard = receive, send, guard

    async def receive(self) -> Message:
        """The next part of the body, counted."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._guard.count(self, len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        """Sends a part of the answer, the first with the headers that each answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # Who keeps the connection would send the next request into its end.
            last = [(b"connection", b"close")] if self._guard.state.ending else []
            message = {**message, "headers": [*message["headers"], *_HEADERS, *last]}
        await self._send(message)

    async def send_error(self, error: RequestError) -> None:
        """Answers with an error, unless an answer has begun."""
        if self.status != 499:
            return
        body = json.dumps({"error": error.reason}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
        if error.status == 401:
            headers["www-authenticate"] = "Bearer"
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": error.status, "headers": encoded})
        # Of an answer to HEAD the protocol itself leaves the body out.
        await self.send({"type": "http.response.body", "body": body})


def _only(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The value of a header; nothing where there is none, or several."""
    values = [value for key, value in headers if key == name]
    return values[0] if len(values) == 1 else b""


def _path_of(scope: Scope) -> str:
    """The route that a request took, as the server wrote it: what is asked for must not make metrics grow."""
    route = scope.get("route")
    return getattr(route, "path", "other")
