"""Error responses of a server, without paths, versions or traces."""

import base64
import json
import re
import socket
from pathlib import Path

import pytest
from tests.data.images import encode, photo
from tests.deploy.server.serving import TOKEN, serving

from saccade.deploy.server.app import STATIC_FILES

IMAGE = "/api/models/images/image"
PREDICT = "/v1/models/images:predict"
INFER = "/v2/models/images/infer"


def error_of(server, status, method, path, body=None, **headers):
    response = server.json(method, path, body, status=status, **headers)
    assert list(response) == ["error"]
    assert not re.search(r"/\w+/|Traceback|\.py|File \"|0x[0-9a-f]+|[0-9]+\.[0-9]+\.[0-9]+", response["error"]), (
        response
    )
    return response["error"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "not an image: it looks like text"),
        (b"%PDF-1.4", "not an image: it looks like a PDF document"),
        (b"\xffO\xffQ" + bytes(100), "JPEG 2000 images are not supported: convert them to JPEG or PNG"),
    ],
)
def test_a_body_that_is_not_an_image(server, body, reason):
    assert error_of(server, 415, "POST", IMAGE, body) == reason
    text = base64.b64encode(body).decode()
    assert error_of(server, 415, "POST", PREDICT, {"instances": [{"b64": text}]}) == reason


def test_a_damaged_image(server, test_files):
    whole = test_files[0].read_bytes()
    assert error_of(server, 422, "POST", IMAGE, whole[: len(whole) // 2]) == "truncated PNG"


def test_an_image_of_too_many_pixels(server):
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (50_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    bomb = header + bytes(4) + b"\x00\x00\x00\x00IEND\xaeB`\x82"
    assert error_of(server, 422, "POST", IMAGE, bomb)


def test_one_unreadable_image_of_several(server, test_files):
    good = {"b64": base64.b64encode(test_files[0].read_bytes()).decode()}
    error_of(server, 415, "POST", PREDICT, {"instances": [good, {"b64": "aGVsbG8="}, good]})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"instances": NaN}',
        b'{"instances": [1e999]}',
        b"\xff\xfe",
        b'{"instances": ' + b"[" * 100_000,
        b'{"instances": ' + b"[" * 100 + b"]" * 100 + b"}",
        {},
        {"instances": []},
        {"instances": [], "inputs": []},
        {"instances": 3},
        {"instances": [1, 2, 3]},
        {"instances": [[[1, 2, 3]]]},
        {"instances": [[[0, 0, 0]], [[0, 0]]]},
        {"instances": ["aGVsbG8="]},
        {"instances": [{"b64": 3}]},
        {"instances": [{"b64": "%%%"}]},
        {"instances": [{"other": "aGVsbG8="}]},
        {"instances": [[[["1"] * 3] * 32] * 32]},
        {"instances": [[[[True] * 3] * 32] * 32]},
        {"instances": [[[[256] * 3] * 32] * 32]},
        {"instances": [[[[-1] * 3] * 32] * 32]},
        {"instances": [[[[10**400] * 3] * 32] * 32]},
        {"instances": [[[[0] * 3] * 32] * 31]},
        {"instances": [[[[0] * 3] * 32] * 31 + [[[0] * 3] * 31]]},
        {"instances": ["a" * 100_000, *[""] * 2_500]},
        {"instances": [[[[0] * 3] * 32] * 32], "signature_name": "other"},
        {"instances": [[[[0] * 3] * 32] * 32], "more": 1},
        {"inputs": {"pixels": [[[[0] * 3] * 32] * 32], "others": []}},
    ],
)
def test_malformed_requests_of_tensorflow_serving(server, body):
    error_of(server, 400, "POST", PREDICT, body)


PIXELS = {"name": "pixels", "shape": [1, 32, 32, 3], "datatype": "FP32", "data": [0] * 3072}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"inputs": [PIXELS, PIXELS]},
        {"inputs": ["pixels"]},
        {"inputs": [PIXELS], "id": 3},
        {"inputs": [PIXELS], "outputs": [{"name": "logits"}]},
        {"inputs": [PIXELS], "outputs": 3},
        {"inputs": [PIXELS | {"name": "other"}]},
        {"inputs": [PIXELS | {"datatype": "BYTES"}]},
        {"inputs": [PIXELS | {"datatype": "BOOL"}]},
        {"inputs": [PIXELS | {"shape": [1, 32, 32]}]},
        {"inputs": [PIXELS | {"shape": [2, 32, 32, 3]}]},
        {"inputs": [PIXELS | {"shape": [-1, 32, 32, 3]}]},
        {"inputs": [PIXELS | {"shape": [10**30, 32, 32, 3]}]},
        {"inputs": [PIXELS | {"shape": [True, 32, 32, 3]}]},
        {"inputs": [PIXELS | {"shape": "1"}]},
        {"inputs": [PIXELS | {"shape": []}]},
        {"inputs": [PIXELS | {"shape": [999_999_937] * 100_000}]},
        {"inputs": [PIXELS | {"data": [0] * 3071}]},
        {"inputs": [PIXELS | {"data": [300] * 3072}]},
        {"inputs": [PIXELS | {"data": "AAAA"}]},
        {"inputs": [{"name": "images", "shape": [2], "datatype": "BYTES", "data": ["aGVsbG8="]}]},
        {"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": [3]}]},
        {"inputs": [{"name": "images", "shape": [1, 1], "datatype": "BYTES", "data": ["aGVsbG8="]}]},
    ],
)
def test_malformed_requests_of_the_open_inference_protocol(server, body):
    error_of(server, 400, "POST", INFER, body)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/page.py", 404),
        ("GET", IMAGE, 405),
        ("DELETE", "/", 405),
        ("POST", "/api/models/other/image", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v1/models/images/versions/2:predict", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v1/models/images/versions/2/metadata", 404),
        ("GET", "/v2/models/images/versions/2/ready", 404),
        ("POST", IMAGE + "?top=0", 400),
        ("POST", IMAGE + "?top=many", 400),
        ("POST", "/admin/reload", 403),
    ],
)
def test_unknown_paths_models_and_methods(server, method, path, status):
    error_of(server, status, method, path)


def test_too_large_bodies_are_not_read_to_their_end(images_run):
    with serving(images_run.path, limits={"body_bytes": 100_000, "images": 8}) as server:
        assert "100,000 bytes" in error_of(server, 413, "POST", IMAGE, b"\xff\xd8\xff" + bytes(100_000))
        connection = server.connection()
        connection.putrequest("POST", IMAGE)
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for _ in range(25):
            connection.send(b"%x\r\n" % 5_000 + bytes(5_000) + b"\r\n")
        # The response comes before the end of the request.
        assert connection.getresponse().status == 413
        connection.close()
        image = {"b64": base64.b64encode(encode(photo(4, 4), "PNG")).decode()}
        assert "8 are the most" in error_of(server, 413, "POST", PREDICT, {"instances": [image] * 9})
        server.json("POST", PREDICT, {"instances": [image] * 8})


def test_lists_of_texts_take_memory_in_proportion_to_their_length(images_run):
    with serving(images_run.path) as server:
        error_of(server, 400, "POST", PREDICT, {"instances": ["a" * 1_000_000, *[""] * 1_000_000]})
        (peak,) = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())
        assert int(peak) < 500_000  # kilobytes; a NumPy array of texts would take 4 TB


def test_bodies_in_very_many_tiny_chunks(server):
    connection = server.connection()
    connection.putrequest("POST", IMAGE)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(b"1\r\na\r\n" * 2_000)
    assert connection.getresponse().status == 400
    connection.close()


def test_compressed_bodies(server, test_files):
    assert error_of(server, 415, "POST", IMAGE, test_files[0].read_bytes(), Content_Encoding="gzip")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1"])
def test_unknown_host_names(server, host):
    assert error_of(server, 421, "GET", "/api/models", Host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST:80", "192.0.2.7:8000", "[::1]:8000", "[::1]", "images.test"])
def test_known_host_names_and_addresses(images_run, server, host):
    if host == "images.test":
        with serving(images_run.path, hosts=[host]) as named:
            named.json("GET", "/api/models", Host=host)
    else:
        server.json("GET", "/api/models", Host=host)


def test_a_token_is_required(images_run, test_files):
    image = test_files[0].read_bytes()
    with serving(images_run.path, token=TOKEN) as server:
        for path in (*STATIC_FILES, "/docs", "/openapi.json", "/v2/health/live", "/v2/health/ready"):
            assert server.request("GET", path)[0] == 200
        wrong = ["", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer", "Bearer \xe4"]
        for authorization in wrong:
            for method, path in (
                ("POST", IMAGE),
                ("GET", "/api/models"),
                ("GET", "/metrics"),
                ("POST", "/admin/reload"),
            ):
                error_of(server, 401, method, path, image, Authorization=authorization)
        status, headers, _ = server.request("GET", "/metrics")
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        server.json("POST", IMAGE, image, Authorization=f"Bearer {TOKEN}")
        assert server.request("GET", "/metrics", Authorization=f"bearer {TOKEN}")[0] == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/models", "/docs", "/nothing", "/metrics"])
def test_every_response_has_security_headers(server, path):
    status, headers, _ = server.request("GET", path)
    assert status == (404 if path == "/nothing" else 200)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name in headers if name.lower().startswith("access-control") or name.lower() == "server"]


def test_responses_contain_no_path_of_the_machine(server, images_run):
    for path in ("/api/models", "/docs", "/openapi.json", "/metrics", "/v2", "/v1/models/images"):
        assert str(images_run.path.parent) not in server.request("GET", path)[2].decode()


@pytest.mark.parametrize(
    "request_line",
    [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"A" * 200_000],
)
def test_malformed_http(server, request_line):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request_line)
        assert connection.recv(1000).startswith(b"HTTP/1.1 4")
    server.json("GET", "/v2/health/live")


def test_the_page_of_the_api_lists_every_path(server):
    page = server.request("GET", "/docs")[2].decode()
    document = json.loads(server.request("GET", "/openapi.json")[2])
    assert document["openapi"].startswith("3.")
    assert len(document["paths"]) > 15
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}</h2>" in page
