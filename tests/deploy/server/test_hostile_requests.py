"""Thousands of requests made to break the server: it answers each with a plain refusal, and good ones between them."""

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
def good_requests_between(server, run, files):
    """Meanwhile, good requests are sent one after another; in the end all of them must have been answered rightly."""
    expected = [
        {one.class_name: one.probability for one in prediction.top} for prediction in saccade.predict(run, files)
    ]
    over, problems, done = threading.Event(), [], Counter[str]()

    def ask_on():
        while not over.is_set():
            for file, right in zip(files, expected, strict=True):
                try:
                    content = server.json("POST", IMAGE, file.read_bytes())
                    assert {one["class_name"]: one["probability"] for one in content["classes"]} == pytest.approx(
                        right, abs=1e-5
                    )
                except (AssertionError, OSError) as problem:
                    problems.append(repr(problem)[:500])
                done["good"] += 1

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        yield done
    finally:
        over.set()
        asking.join()
    assert problems == []
    assert done["good"] > 0
    assert server.process.poll() is None


def ask_by_schema(server, examples, statuses):
    """Requests that schemathesis makes of the OpenAPI page, right and wrong ones, so many for each path and method."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) > 15
    for operation, mode in product(operations, GenerationMode):
        with suppress(Unsatisfiable):  # a path without parameters can't be asked for wrongly
            ask_cases(operation.as_strategy(generation_mode=mode), examples, statuses)


def ask_cases(cases, examples, statuses):
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, of_ours=st.booleans())
    def ask(case, of_ours):
        if of_ours:  # else most requests would be for models that are not there
            known = {"name": "images", "version": "1"}
            case.path_parameters = {key: known[key] for key in case.path_parameters or {}}
        status = case.call(timeout=60).status_code
        statuses[status] += 1
        assert status in ALLOWED, (status, case.as_curl_command())

    ask()


def broken_bodies(images, count):
    """Paths and bodies: pieces of images, of JSON around them, and both with bytes changed."""
    draw = random.Random(0)
    for _ in range(count):
        path, image = draw.choice(PATHS), draw.choice(images)
        text = base64.b64encode(image).decode()
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
        yield path, bytes(broken)


def ask_with_broken_bodies(server, images, count, statuses):
    for path, body in broken_bodies(images, count):
        status, _, content = server.ask("POST", path, body)
        statuses[status] += 1
        assert status in ALLOWED, (path, content)
        assert status == 200 or list(json.loads(content)) == ["error"]


@pytest.fixture(scope="module")
def odd_images(odd_files):
    """The contents of the odd images, but for the largest."""
    return [path.read_bytes() for path in odd_files if path.stat().st_size < 2_000_000]


@pytest.mark.nightly
def test_requests_made_from_the_openapi_page(images_run, test_files):
    statuses = Counter[int]()
    with serving(images_run.path) as server, good_requests_between(server, images_run, test_files):
        ask_by_schema(server, 5, statuses)
    assert sum(statuses.values()) > 100
    assert {200, 400, 404} <= set(statuses)


def test_broken_bodies(images_run, test_files, odd_images):
    statuses = Counter[int]()
    with serving(images_run.path) as server, good_requests_between(server, images_run, test_files):
        ask_with_broken_bodies(server, odd_images, 300, statuses)
    assert {200, 400, 415, 422} <= set(statuses)


@pytest.mark.nightly
def test_ten_thousand_of_them(images_run, test_files, odd_images):
    statuses = Counter[int]()
    with serving(images_run.path) as server, good_requests_between(server, images_run, test_files) as done:
        ask_by_schema(server, 150, statuses)
        ask_with_broken_bodies(server, odd_images, max(5_000, 10_000 - sum(statuses.values())), statuses)
    sys.stdout.write(f"hostile requests: {dict(sorted(statuses.items()))}, good ones between them: {done['good']}\n")
    assert sum(statuses.values()) >= 10_000
