"""A server ends without losing what it has accepted, and takes a new model without dropping a request."""

import asyncio
import contextlib
import json
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.deploy.server.serving import TOKEN, serving

import saccade
from saccade.deploy.server.metrics import Metrics
from saccade.recipes import get_recipe
from saccade.runs.run import Run
from saccade.web.limits import Limits
from saccade.web.middleware import Guard, RequestPolicy, ServerState

IMAGE = "/api/models/images/image"
REQUESTS = 20


def end_with_requests_in_flight(run, files, number=signal.SIGTERM):
    """Ends a server right after requests were sent; their statuses, its exit code, and what it complained of."""
    with serving(run.path) as server, ThreadPoolExecutor(REQUESTS) as threads:
        connections = [server.connection() for _ in range(REQUESTS)]
        for connection in connections:
            connection.connect()
        server.json("GET", "/v2/health/ready")
        sent = threading.Barrier(REQUESTS + 1)

        def ask(place):
            connections[place].request("POST", IMAGE, files[place].read_bytes())
            sent.wait(10)
            response = connections[place].getresponse()
            content = json.loads(response.read())
            connections[place].close()
            return response.status, content

        asking = [threads.submit(ask, place) for place in range(REQUESTS)]
        sent.wait(10)
        code, complaints = server.end(number)
        return [one.result() for one in asking], code, complaints


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_sent_is_predicted_before_the_end(images_run, test_files, number):
    responses, code, complaints = end_with_requests_in_flight(images_run, test_files, number)
    assert (code, complaints) == (0, "")
    expected = saccade.predict(images_run, test_files[:REQUESTS], top=1)
    assert [status for status, _ in responses] == [200] * REQUESTS
    for (_, content), prediction in zip(responses, expected, strict=True):
        assert content["classes"][0]["class_name"] == prediction.top[0].class_name


@pytest.mark.nightly
def test_a_hundred_ends_lose_none(images_run, test_files):
    for _ in range(100):
        responses, code, _ = end_with_requests_in_flight(images_run, test_files)
        assert code == 0
        assert [status for status, _ in responses] == [200] * REQUESTS


def test_an_idle_server_ends_at_once_though_a_client_stays_connected(images_run):
    with serving(images_run.path) as server:
        connection = server.connection()
        connection.request("GET", "/v2/health/live")
        assert connection.getresponse().read()
        begun = time.monotonic()
        assert server.end() == (0, "")
        assert time.monotonic() - begun < 20  # of the 50 that a client may take
        connection.close()


def processes_of(server):
    """How many processes a server has started that still run."""
    children = 0
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            children += len((thread / "children").read_text().split())
    return children


def test_responses_given_while_it_ends_say_that_the_connection_does_too():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(state):
        sent = []

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        guard = Guard(app, Limits(), Metrics(), state, RequestPolicy(hosts=(), token=None))
        await guard({"type": "http", "path": "/", "headers": [(b"host", b"127.0.0.1")]}, receive, send)
        return dict(sent[0]["headers"]).get(b"connection")

    state = ServerState()
    assert asyncio.run(ask(state)) is None
    state.shutting_down = True
    assert asyncio.run(ask(state)) == b"close"


@pytest.fixture
def other_run(noisy_digits, tmp_path):
    """A run of the same classes with other weights, for smaller images."""
    recipe = get_recipe("folder").with_settings({"image_size": 24})
    return saccade.train(noisy_digits, recipe=recipe, epochs=1, out=tmp_path / "other", progress=False)


def test_a_new_run_takes_the_place_of_an_old_one_without_a_request_lost(images_run, other_run, test_files, tmp_path):
    place = tmp_path / "images"
    place.symlink_to(images_run.path)
    old, new = (saccade.predict(run, test_files, top=1) for run in (images_run, other_run))
    expected = {
        version: {file: one.top[0].probability for file, one in zip(test_files, predictions, strict=True)}
        for version, predictions in (("1", old), ("2", new))
    }
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with serving(place, token=TOKEN, limits={"response_seconds": 10}) as server, ThreadPoolExecutor(4) as threads:
        decoders = processes_of(server)
        over = threading.Event()
        seen = []

        def ask_on(first):
            position = first
            while not over.is_set():
                file = test_files[position % len(test_files)]
                content = server.json("POST", f"{IMAGE}?top=1", file.read_bytes(), **bearer)
                seen.append((content["version"], file, content["classes"][0]["probability"]))
                position += 1

        asking = [threads.submit(ask_on, first) for first in range(4)]
        time.sleep(0.5)
        place.unlink()
        place.symlink_to(other_run.path)
        reloaded = server.json("POST", "/admin/reload", {"model": "images"}, **bearer)
        assert reloaded == {"models": [{"name": "images", "version": "2"}]}
        (model,) = server.json("GET", "/api/models", **bearer)["models"]
        assert model["weights"] == other_run.weights_fingerprint()
        time.sleep(0.5)
        over.set()
        for one in asking:
            one.result()
        assert {version for version, _, _ in seen} == {"1", "2"}
        end = time.monotonic() + 30
        while processes_of(server) > decoders and time.monotonic() < end:
            time.sleep(0.5)
        assert processes_of(server) == decoders  # those for images of the old size have gone
        for version, file, probability in seen:
            assert probability == pytest.approx(expected[version][file], abs=1e-5)
        assert 'saccade_reloads_total{model="images"} 1.0' in server.ask("GET", "/metrics", **bearer)[2].decode()


def test_what_can_not_be_served_does_not_take_its_place(images_run, test_files, tmp_path):
    run = Run.open(shutil.copytree(images_run.path, tmp_path / "images"))
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with serving(run.path, token=TOKEN) as server:
        (run.path / "recipe.json").write_text("{}")
        content = server.json("POST", "/admin/reload", status=409, **bearer)
        assert content == {"error": "the new model can't be served; the server's log gives the reason"}
        server.json("POST", "/admin/reload", {"model": "other"}, status=404, **bearer)
        server.json("POST", "/admin/reload", {"path": "/tmp"}, status=400, **bearer)
        assert server.json("POST", IMAGE, test_files[0].read_bytes(), **bearer)["version"] == "1"
        _, complaints = server.end()
        assert "recipe.json" in complaints
