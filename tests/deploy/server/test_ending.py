"""Shutdown and reload of a server, without a lost request."""

import contextlib
import json
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.deploy.server.serving import TOKEN, serving

import saccade
from saccade.recipes import get_recipe
from saccade.runs.run import Run
from saccade.web import server as web_server

IMAGE = "/api/models/images/image"
REQUESTS = 20


def stop_with_requests_in_flight(run, files, number=signal.SIGTERM):
    """Stop a server right after requests were sent; return their responses, its exit code and its stderr."""
    with serving(run.path) as server, ThreadPoolExecutor(REQUESTS) as threads:
        connections = [server.connection() for _ in range(REQUESTS)]
        for connection in connections:
            connection.connect()
        server.json("GET", "/v2/health/ready")
        sent = threading.Barrier(REQUESTS + 1)

        def send(place):
            connections[place].request("POST", IMAGE, files[place].read_bytes())
            sent.wait(10)
            response = connections[place].getresponse()
            content = json.loads(response.read())
            connections[place].close()
            return response.status, content

        senders = [threads.submit(send, place) for place in range(REQUESTS)]
        sent.wait(10)
        code, stderr = server.stop(number)
        return [one.result() for one in senders], code, stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sent_requests_get_their_predictions_before_shutdown(images_run, test_files, number):
    responses, code, stderr = stop_with_requests_in_flight(images_run, test_files, number)
    assert (code, stderr) == (0, "")
    expected = saccade.predict(images_run, test_files[:REQUESTS], top=1)
    assert [status for status, _ in responses] == [200] * REQUESTS
    for (_, content), prediction in zip(responses, expected, strict=True):
        assert content["classes"][0]["class_name"] == prediction.top[0].class_name


@pytest.mark.nightly
def test_a_hundred_shutdowns_lose_no_request(images_run, test_files):
    for _ in range(100):
        responses, code, _ = stop_with_requests_in_flight(images_run, test_files)
        assert code == 0
        assert [status for status, _ in responses] == [200] * REQUESTS


def test_an_idle_server_stops_soon_while_a_client_stays_connected(images_run):
    with serving(images_run.path) as server:
        connection = server.connection()
        connection.request("GET", "/v2/health/live")
        assert connection.getresponse().read()
        begun = time.monotonic()
        assert server.stop() == (0, "")
        assert time.monotonic() - begun < 20  # of the 50 seconds that the limits allow
        connection.close()


def count_processes(server):
    """Count the running child processes of a server."""
    children = 0
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended meanwhile
            children += len((thread / "children").read_text().split())
    return children


@pytest.fixture
def other_run(noisy_digits, tmp_path):
    """Train a run with the same classes, other weights and smaller images."""
    recipe = get_recipe("folder").with_settings({"image_size": 24})
    return saccade.train(noisy_digits, recipe=recipe, epochs=1, out=tmp_path / "other", progress=False)


@pytest.mark.long
def test_a_reload_loses_no_request(images_run, other_run, test_files, tmp_path):
    place = tmp_path / "images"
    place.symlink_to(images_run.path)
    old, new = (saccade.predict(run, test_files, top=1) for run in (images_run, other_run))
    expected = {
        version: {file: one.top[0].probability for file, one in zip(test_files, predictions, strict=True)}
        for version, predictions in (("1", old), ("2", new))
    }
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with serving(place, token=TOKEN, limits={"response_seconds": 10}) as server, ThreadPoolExecutor(4) as threads:
        decoders = count_processes(server)
        stopped = threading.Event()
        seen = []

        def send_requests(first):
            position = first
            while not stopped.is_set():
                file = test_files[position % len(test_files)]
                content = server.json("POST", f"{IMAGE}?top=1", file.read_bytes(), **bearer)
                seen.append((content["version"], file, content["classes"][0]["probability"]))
                position += 1

        senders = [threads.submit(send_requests, first) for first in range(4)]
        time.sleep(0.5)
        place.unlink()
        place.symlink_to(other_run.path)
        reloaded = server.json("POST", "/admin/reload", {"model": "images"}, **bearer)
        assert reloaded == {"models": [{"name": "images", "version": "2"}]}
        (model,) = server.json("GET", "/api/models", **bearer)["models"]
        assert model["weights"] == other_run.weights_fingerprint()
        time.sleep(0.5)
        stopped.set()
        for one in senders:
            one.result()
        assert {version for version, _, _ in seen} == {"1", "2"}
        end = time.monotonic() + 30
        while count_processes(server) > decoders and time.monotonic() < end:
            time.sleep(0.5)
        assert count_processes(server) == decoders  # the decoders for the previous image size have ended
        for version, file, probability in seen:
            assert probability == pytest.approx(expected[version][file], abs=1e-5)
        assert 'saccade_reloads_total{model="images"} 1.0' in server.request("GET", "/metrics", **bearer)[2].decode()


def test_a_damaged_run_does_not_replace_the_served_model(images_run, test_files, tmp_path):
    run = Run.open(shutil.copytree(images_run.path, tmp_path / "images"))
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with serving(run.path, token=TOKEN) as server:
        (run.path / "recipe.json").write_text("{}")
        content = server.json("POST", "/admin/reload", status=409, **bearer)
        assert content == {"error": "the new model can't be served; the server's log gives the reason"}
        server.json("POST", "/admin/reload", {"model": "other"}, status=404, **bearer)
        server.json("POST", "/admin/reload", {"path": "/tmp"}, status=400, **bearer)
        assert server.json("POST", IMAGE, test_files[0].read_bytes(), **bearer)["version"] == "1"
        _, stderr = server.stop()
        assert "recipe.json" in stderr


def test_without_a_limit_on_open_files_all_connections_are_allowed(monkeypatch):
    """Windows has no module `resource`."""
    monkeypatch.setitem(sys.modules, "resource", None)
    assert web_server._max_connections(1024) == 1024
