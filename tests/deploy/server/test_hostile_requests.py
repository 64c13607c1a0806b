"""Hostile requests: the server responds to each with an error, and to valid requests in parallel as usual."""

import base64
import json
import random
import sys
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import product

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from tests.deploy.server.serving import serving

import saccade

IMAGE = "/api/models/images/image"
PATHS = (IMAGE, "/api/models/images/occlusion", "/v1/models/images:predict", "/v2/models/images/infer")
ALLOWED = {*range(200, 300), *range(400, 500), 503, 504}


@contextmanager
def valid_requests_in_parallel(server, run, files):
    """Send valid requests during the block; at its end, require that each got the correct response."""
    expected = [
        {one.class_name: one.probability for one in prediction.top} for prediction in saccade.predict(run, files)
    ]
    stopped, problems, done = threading.Event(), [], Counter[str]()

    def send_requests():
        while not stopped.is_set():
            for file, probabilities in zip(files, expected, strict=True):
                try:
                    content = server.json("POST", IMAGE, file.read_bytes())
                    assert {one["class_name"]: one["probability"] for one in content["classes"]} == pytest.approx(
                        probabilities, abs=1e-5
                    )
                except (AssertionError, OSError) as problem:
                    problems.append(repr(problem)[:500])
                done["valid"] += 1

    sender = threading.Thread(target=send_requests)
    sender.start()
    try:
        yield done
    finally:
        stopped.set()
        sender.join()
    assert problems == []
    assert done["valid"] > 0
    assert server.process.poll() is None


def send_by_schema(server, examples, statuses):
    """Send valid and invalid requests that schemathesis generates from the OpenAPI schema.

    Args:
        server: server.
        examples: number of requests for each path, method and mode.
        statuses: counter of the statuses.
    """
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) > 15
    for operation, mode in product(operations, GenerationMode):
        with suppress(Unsatisfiable):  # a path without parameters has no invalid request
            send_cases(operation.as_strategy(generation_mode=mode), examples, statuses)


def send_cases(cases, examples, statuses):
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, existing_model=st.booleans())
    def ask(case, existing_model):
        if existing_model:  # otherwise most requests would be for models that do not exist
            known = {"name": "images", "version": "1"}
            case.path_parameters = {key: known[key] for key in case.path_parameters or {}}
        status = case.call(timeout=60).status_code
        statuses[status] += 1
        assert status in ALLOWED, (status, case.as_curl_command())

    ask()


def corrupted_bodies(images, count):
    """Yield paths with corrupted bodies and their headers: images, forms and JSON, truncated or with changed bytes."""
    draw = random.Random(0)
    for _ in range(count):
        path, image = draw.choice(PATHS), draw.choice(images)
        text = base64.b64encode(image).decode()
        if draw.randrange(3) == 0:
            text = f"data:image/png;base64,{text}"
        body = {
            PATHS[2]: json.dumps({"instances": [{"b64": text}]}),
            PATHS[3]: json.dumps({"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": [text]}]}),
        }.get(path, image)
        broken = bytearray(body if isinstance(body, bytes) else body.encode())
        kind = draw.randrange(5)
        if kind == 0:
            del broken[draw.randrange(len(broken) + 1) :]
        elif kind in (1, 2) and broken:
            for _ in range(draw.choice((1, 3, 30))):
                broken[draw.randrange(len(broken))] = draw.randrange(256)
        elif kind == 3:
            broken[draw.randrange(len(broken) + 1) : 0] = draw.randbytes(draw.randrange(64))
        headers = {}
        if path in PATHS[:2] and draw.randrange(2):
            headers = {"Content_Type": "multipart/form-data; boundary=parts"}
            start = b'--parts\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
            broken = bytearray(start + broken + b"\r\n--parts--\r\n")
            for _ in range(draw.choice((0, 0, 1, 3))):
                broken[draw.randrange(min(200, len(broken)))] = draw.randrange(256)
        yield path, bytes(broken), headers


def send_corrupted_bodies(server, images, count, statuses):
    for path, body, headers in corrupted_bodies(images, count):
        status, _, content = server.request("POST", path, body, **headers)
        statuses[status] += 1
        assert status in ALLOWED, (path, content)
        assert status == 200 or list(json.loads(content)) == ["error"]


@pytest.fixture(scope="module")
def odd_images(odd_files):
    """Return the contents of the odd images, except the largest."""
    return [path.read_bytes() for path in odd_files if path.stat().st_size < 2_000_000]


@pytest.mark.nightly
def test_requests_generated_from_the_openapi_schema(images_run, test_files):
    statuses = Counter[int]()
    with serving(images_run.path) as server, valid_requests_in_parallel(server, images_run, test_files):
        send_by_schema(server, 5, statuses)
    assert sum(statuses.values()) > 100
    assert {200, 400, 404} <= set(statuses)


def test_corrupted_bodies(images_run, test_files, odd_images):
    statuses = Counter[int]()
    with serving(images_run.path) as server, valid_requests_in_parallel(server, images_run, test_files):
        send_corrupted_bodies(server, odd_images, 200, statuses)
    assert {200, 400, 415, 422} <= set(statuses)


@pytest.mark.nightly
def test_ten_thousand_hostile_requests(images_run, test_files, odd_images):
    statuses = Counter[int]()
    with serving(images_run.path) as server, valid_requests_in_parallel(server, images_run, test_files) as done:
        send_by_schema(server, 150, statuses)
        send_corrupted_bodies(server, odd_images, max(5_000, 10_000 - sum(statuses.values())), statuses)
    sys.stdout.write(
        f"hostile requests: {dict(sorted(statuses.items()))}, valid requests in parallel: {done['valid']}\n"
    )
    assert sum(statuses.values()) >= 10_000
