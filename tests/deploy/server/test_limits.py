"""Slow clients, timeouts, and overload."""

import base64
import json
import re
import socket
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.deploy.server.serving import serving

IMAGE = "/api/models/images/image"
PREDICT = "/v1/models/images:predict"


def connect(server):
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def is_closed(connection):
    """Return whether the server closes a connection before the timeout of the connection."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.fixture(scope="module")
def server_with_short_timeout(images_run):
    """Start a server with a client timeout of half a second."""
    with serving(images_run.path, limits={"client_seconds": 0.5}) as running:
        yield running


@pytest.fixture(scope="module")
def server_with_low_limits(images_run):
    """Start a server with low limits on waiting images and bytes, requests and connections."""
    limits = {"waiting_images": 10, "waiting_bytes": 50_000, "requests": 2, "connections": 5}
    with serving(images_run.path, limits=limits) as running:
        yield running


HEAD = b"POST /api/models/images/image HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize("begun", [b"", b"POST / HT", HEAD[:-2], HEAD, HEAD + b"\xff\xd8\xff"])
def test_a_client_that_does_not_finish_its_request_is_disconnected(server_with_short_timeout, begun):
    with connect(server_with_short_timeout) as connection:
        connection.sendall(begun)
        assert is_closed(connection)
    server_with_short_timeout.json("GET", "/v2/health/live")


def test_a_client_that_sends_byte_by_byte_is_disconnected(server_with_short_timeout):
    def send_byte_by_byte():
        for byte in HEAD + bytes(900):
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    connection = connect(server_with_short_timeout)
    with connection, pytest.raises(OSError, match=r"[Bb]roken pipe|reset"):
        send_byte_by_byte()


def test_a_client_that_does_not_receive_its_responses_is_disconnected(server_with_short_timeout):
    def send_without_receiving():
        for _ in range(100_000):
            connection.sendall(b"GET /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)

    connection = connect(server_with_short_timeout)
    with connection, pytest.raises(OSError, match=r"[Bb]roken pipe|reset"):
        send_without_receiving()
    server_with_short_timeout.json("GET", "/v2/health/live")


@pytest.mark.long
def test_a_client_that_does_not_receive_small_responses_is_disconnected(images_run):
    """The responses have less than 64 KB, beyond the buffers of the system."""
    with serving(images_run.path, limits={"client_seconds": 1}) as server, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        host, port = server.url.removeprefix("http://").split(":")
        connection.connect((host, int(port)))
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        time.sleep(4)
        begun = time.monotonic()
        assert server.stop()[0] == 0
        assert time.monotonic() - begun < 10


def test_a_response_after_the_timeout(images_run, test_files):
    with serving(images_run.path, limits={"response_seconds": 0.0001}) as server:
        response = server.json("POST", IMAGE, test_files[0].read_bytes(), status=504)
        assert "within 0.0001 seconds" in response["error"]


def test_too_many_waiting_images(server_with_low_limits, test_files):
    image = {"b64": base64.b64encode(test_files[0].read_bytes()).decode()}
    status, headers, _ = server_with_low_limits.request("POST", PREDICT, json.dumps({"instances": [image] * 11}))
    assert status == 503
    assert int(headers["Retry-After"]) >= 1
    server_with_low_limits.json("POST", PREDICT, {"instances": [image] * 10})


def test_too_many_waiting_bytes(server_with_low_limits):
    assert server_with_low_limits.request("POST", IMAGE, b"\xff\xd8\xff" + bytes(90_000))[0] == 503
    assert server_with_low_limits.request("POST", IMAGE, b"\xff\xd8\xff" + bytes(10_000))[0] == 422


def test_health_responds_during_too_many_open_requests(server_with_low_limits):
    waiting = [connect(server_with_low_limits) for _ in range(2)]
    try:
        for connection in waiting:
            connection.sendall(HEAD)
        time.sleep(0.3)
        status, headers, _ = server_with_low_limits.request("POST", IMAGE, b"hello")
        assert (status, headers["Retry-After"]) == (503, "1")
        server_with_low_limits.json("GET", "/v2/health/ready")
    finally:
        for connection in waiting:
            connection.close()
    time.sleep(0.3)
    assert server_with_low_limits.request("POST", IMAGE, b"hello")[0] == 415


def test_too_many_open_connections(server_with_low_limits):
    connections = [connect(server_with_low_limits) for _ in range(5)]
    time.sleep(0.3)
    with connect(server_with_low_limits) as one_more:
        assert is_closed(one_more)
    for connection in connections:
        connection.close()
    time.sleep(0.3)
    server_with_low_limits.json("GET", "/v2/health/live")


@pytest.mark.nightly
def test_overload_leaves_memory_constant_and_health_responding(images_run, test_files):
    """The load is at least eight times the capacity, for three minutes."""
    image = {"b64": base64.b64encode(test_files[0].read_bytes()).decode()}
    body = {"instances": [image] * 64}
    with serving(images_run.path, limits={"waiting_images": 256}) as server, ThreadPoolExecutor(32) as threads:
        end = time.monotonic() + 180
        memory, healths, statuses = [], [], Counter[int]()

        def send_requests():
            while time.monotonic() < end:
                status = server.request("POST", PREDICT, json.dumps(body))[0]
                statuses[status] += 1

        senders = [threads.submit(send_requests) for _ in range(32)]
        while time.monotonic() < end:
            begun = time.monotonic()
            server.json("GET", "/v2/health/live")
            healths.append(time.monotonic() - begun)
            text = Path(f"/proc/{server.process.pid}/status").read_text()
            (kilobytes,) = re.findall(r"VmRSS:\s+(\d+)", text)
            memory.append(int(kilobytes) / 1000)
            time.sleep(1)
        for one in senders:
            one.result()
        message = f"memory {memory[20]:.0f} to {max(memory):.0f} MB, health within {max(healths):.2f} s"
        sys.stdout.write(f"overload: {dict(statuses)}, {message}\n")
        assert set(statuses) == {200, 503}
        assert statuses.total() >= 8 * statuses[200]
        assert max(memory[20:]) < 1.2 * memory[20] + 20
        assert max(healths) < 1
