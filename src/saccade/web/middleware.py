"""ASGI middleware that checks host, token, size and duration of every request."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import json
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from saccade.web.http_errors import SERVER_ERROR, RequestError
from saccade.web.limits import Limits

_CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _CONTENT_SECURITY_POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
]
# Of the rest of a body that is too large: what is read at most, and the longest wait for the next part of it.
_DISCARD_BYTES, _DISCARD_SECONDS, _IDLE_SECONDS = 1 << 27, 5.0, 0.3
_CLIENT_CLOSED_REQUEST = 499  # recorded where no response was sent
_log = logging.getLogger("saccade.server")


class ServerState:
    """State of a server that its signal handler changes.

    Attributes:
        shutting_down: whether the server finishes its open requests and takes no more.
    """

    def __init__(self) -> None:
        self.shutting_down = False


class RequestMetrics(Protocol):
    """Metrics of requests."""

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        """Record a response to a request; `path` is the path of a route, not that of the request."""


@dataclass(frozen=True)
class RequestPolicy:
    """Host names, token and exceptions by path.

    Attributes:
        hosts: names of the server, besides IP addresses, that a Host header may contain.
        token: bearer token that requests must carry; None: no token.
        health_paths: paths of health checks: they need no token, and respond under any load.
        public_paths: paths that need no token.
        paths_without_timeout: paths whose requests may take any time.
    """

    hosts: Collection[str]
    token: str | None
    health_paths: Collection[str] = ()
    public_paths: Collection[str] = ()
    paths_without_timeout: Collection[str] = ()


class Guard:
    """ASGI middleware that checks every request and adds security headers to every response.

    Args:
        app: application behind the guard.
        limits: limits on size and time.
        metrics: metrics that record every request; None: no metrics.
        state: state of the server.
        policy: host names, token and exceptions by path.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, metrics: RequestMetrics | None, state: ServerState, policy: RequestPolicy
    ) -> None:
        self._app, self._limits, self._metrics, self.state = app, limits, metrics, state
        self._policy = policy
        self._hosts = frozenset(host.lower().rstrip(".") for host in policy.hosts)
        self._token = None if policy.token is None else policy.token.encode()
        self._requests = 0
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or send an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send, self)
        start = monotonic()
        self._requests += 1
        try:
            await self._respond(request)
        finally:
            self._requests -= 1
            self._bytes -= request.size
            if self._metrics is not None:
                self._metrics.observe_request(_route_of(scope), request.status, monotonic() - start)

    async def _respond(self, request: _Request) -> None:
        seconds = self._limits.response_seconds
        try:
            self._check(request.scope)
            unlimited = request.scope["path"] in self._policy.paths_without_timeout
            async with asyncio.timeout(None if unlimited else seconds):
                await self._app(request.scope, request.receive, request.send)
        except RequestError as error:
            await request.send_error(error)
        except TimeoutError:
            await request.send_error(RequestError(504, f"there was no response within {seconds:g} seconds"))
        except Exception:
            _log.exception("a request failed")
            await request.send_error(RequestError(500, SERVER_ERROR))

    def _check(self, scope: Scope) -> None:
        headers = scope["headers"]
        if not self._is_known_host(_single_value(headers, b"host")):
            raise RequestError(421, "this server has another name: see the option --allow-host")
        path = scope["path"]
        if path in self._policy.health_paths:
            return
        if self._token is not None and path not in self._policy.public_paths:
            self._check_token(_single_value(headers, b"authorization"), self._token)
        if self._requests > self._limits.requests:
            raise RequestError(503, "too many requests are waiting", retry_after=1)
        length = _single_value(headers, b"content-length")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            raise self._too_large()
        if _single_value(headers, b"content-encoding") not in (b"", b"identity"):
            raise RequestError(415, "bodies must not be compressed")

    def _is_known_host(self, host: bytes) -> bool:
        """Return whether a Host header names this server: by an IP address or one of its names.

        A foreign page can make its own host name resolve to this machine, so that the browser sends its requests here
        (DNS rebinding). It can't do so with an IP address or with "localhost".
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

    @staticmethod
    def _check_token(authorization: bytes, token: bytes) -> None:
        scheme, _, received = authorization.partition(b" ")
        equal = hmac.compare_digest(received.strip(), token)
        if not equal or scheme.lower() != b"bearer":
            raise RequestError(401, "this server requires a token: Authorization: Bearer TOKEN")

    def count_bytes(self, request: _Request, size: int) -> None:
        """Count received bytes of the body of a request.

        Raises:
            RequestError: the body of this request, or of all open requests together, is too large.
        """
        request.size += size
        self._bytes += size
        if request.size > self._limits.body_bytes:
            raise self._too_large()
        if self._bytes > self._limits.waiting_bytes:
            raise RequestError(503, "too many requests are waiting", retry_after=1)

    def _too_large(self) -> RequestError:
        return RequestError(413, f"too large: {self._limits.body_bytes:,} bytes are the most")


class _Request:
    """A request on its way through the guard.

    Attributes:
        scope: ASGI scope.
        size: bytes of the body received so far.
        status: HTTP status of the response; 499 before a response.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, guard: Guard) -> None:
        self.scope = scope
        self.size = 0
        self.status = _CLIENT_CLOSED_REQUEST
        self._receive, self._send, self._guard = receive, send, guard

    async def receive(self) -> Message:
        """Return the next message of the body, and count its bytes."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._guard.count_bytes(self, len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the response; the first one with the security headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # Over a connection that stays open, the client would send its next request to a server that has ended.
            close = [(b"connection", b"close")] if self._guard.state.shutting_down else []
            message = {**message, "headers": [*message["headers"], *_HEADERS, *close]}
        await self._send(message)

    async def send_error(self, error: RequestError) -> None:
        """Send an error, unless a response has begun."""
        if self.status != _CLIENT_CLOSED_REQUEST:
            return
        body = json.dumps({"error": error.reason}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
        if error.status == 401:
            headers["www-authenticate"] = "Bearer"
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        if error.status == 413 and not _single_value(self.scope["headers"], b"expect"):
            await self._discard_body()
        await self.send({"type": "http.response.start", "status": error.status, "headers": encoded})
        # h11 drops the body of a response to HEAD.
        await self.send({"type": "http.response.body", "body": body})

    async def _discard_body(self) -> None:
        """Read some of the rest of a body and discard it.

        Programs that send the whole body before they read would see a reset connection in place of the response.
        """
        end, discarded = monotonic() + _DISCARD_SECONDS, 0
        with contextlib.suppress(TimeoutError):
            while discarded < _DISCARD_BYTES and monotonic() < end:
                message = await asyncio.wait_for(self._receive(), _IDLE_SECONDS)
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                discarded += len(message.get("body", b""))


def _single_value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Return the value of a header; b"" where the header is absent or repeated."""
    values = [value for key, value in headers if key == name]
    return values[0] if len(values) == 1 else b""


def _route_of(scope: Scope) -> str:
    """Return the path of the matched route; request paths as labels would let the metrics grow without limit."""
    route = scope.get("route")
    return getattr(route, "path", "other")
