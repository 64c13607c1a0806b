"""Guard of a server, with an application in the same process."""

import asyncio

import pytest

from saccade.web.limits import Limits
from saccade.web.middleware import Guard, RequestPolicy, ServerState

TOKEN = "a-token-of-some-length"


class RecordedRequests(list[tuple[str, int]]):
    """Metrics that record the observed requests."""

    def observe_request(self, path, status, _):
        self.append((path, status))


async def slow_app(scope, receive, send):
    await asyncio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200, "headers": []})


def respond(path="/", *, state=None, token=None, metrics=None, limits=None):
    """Return status and headers of the response to a request without a token."""
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    policy = RequestPolicy(
        (), token, health_paths=("/live",), public_paths=("/page",), paths_without_timeout=("/slow",)
    )
    guard = Guard(slow_app, limits or Limits(), RecordedRequests() if metrics is None else metrics, state, policy)
    scope = {"type": "http", "path": path, "headers": [(b"host", b"127.0.0.1")]}
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


def test_responses_during_shutdown_close_the_connection():
    state = ServerState()
    assert b"connection" not in respond(state=state)[1]
    state.shutting_down = True
    assert respond(state=state)[1][b"connection"] == b"close"


@pytest.mark.parametrize(("path", "status"), [("/live", 200), ("/page", 200), ("/page/more", 401), ("/", 401)])
def test_only_public_and_health_paths_need_no_token(path, status):
    assert respond(path, state=ServerState(), token=TOKEN)[0] == status


@pytest.mark.parametrize(("path", "status"), [("/slow", 200), ("/slow/more", 504), ("/live", 504)])
def test_paths_without_timeout_may_take_longer(path, status):
    assert respond(path, state=ServerState(), limits=Limits(response_seconds=0.01))[0] == status


def test_health_responds_under_too_many_requests():
    limits = Limits(requests=0)
    assert respond("/live", state=ServerState(), limits=limits)[0] == 200
    assert respond("/page", state=ServerState(), limits=limits)[0] == 503


def test_metrics_record_the_route_rather_than_the_path_of_the_request():
    metrics = RecordedRequests()
    respond("/a/path/from/a/request", state=ServerState(), metrics=metrics)
    assert metrics == [("other", 200)]
