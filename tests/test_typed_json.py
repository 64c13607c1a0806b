"""Typed JSON: messages between processes, and records of the cache, are read back as equal values.

Hypothesis draws each message from its type hints, with names that are no UTF-8 among them.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Literal, Union, cast, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from saccade.data.cache.decoded_cache import Index
from saccade.data.cache.disk_cache import EntryLabel
from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import ImageHeader
from saccade.data.decoding.decode_messages import (
    DecodeRequest,
    DecodeResponse,
    HeaderRequest,
    HeaderResponse,
    Ready,
    Request,
)
from saccade.data.sources.scan_cache import ArchiveMetadata, KnownFiles, Scan
from saccade.deploy.server_messages import Error, ImagePrediction, OcclusionMap, ServedModels
from saccade.deploy.verify_worker import Speed, VerifyRequest
from saccade.typed_json import from_json, to_json

# Each test run draws the same examples.
deterministic = settings(deadline=None, derandomize=True, database=None, max_examples=60)

# Text, or a file name that is no UTF-8, as Python decodes it.
TEXT = st.text(max_size=8) | st.binary(max_size=8).map(os.fsdecode)
PLAIN = {
    str: TEXT,
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    NoneType: st.none(),
}


def values_of(kind, text=TEXT):
    """Return a strategy for the values of a type hint; a Sequence is a tuple, as the reader returns."""
    arguments, origin = get_args(kind), get_origin(kind)

    def of(inner):
        return values_of(inner, text)

    if kind in PLAIN:
        return text if kind is str else PLAIN[kind]
    several = st.deferred(lambda: st.lists(of(arguments[0]), max_size=4).map(tuple))
    composed = {
        Literal: lambda: st.sampled_from(arguments),
        Union: lambda: st.one_of(*map(of, arguments)),
        UnionType: lambda: st.one_of(*map(of, arguments)),
        Sequence: lambda: several,
        tuple: lambda: several if arguments[1:] == (...,) else st.tuples(*map(of, arguments)),
        Mapping: lambda: st.dictionaries(text, of(arguments[1]), max_size=4),
        dict: lambda: st.dictionaries(text, of(arguments[1]), max_size=4),
    }
    if origin in composed:
        return composed[origin]()
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: of(hints[name]) for name in names_of(kind)})


def names_of(kind):
    """Return the names of the fields of a dataclass, a pydantic model or a NamedTuple."""
    if is_dataclass(kind):
        return [field.name for field in fields(kind)]
    return list(kind.model_fields) if issubclass(kind, BaseModel) else list(kind._fields)


@pytest.mark.parametrize(
    "kind",
    [
        *(Preprocessing, Ready, DecodeRequest, DecodeResponse, HeaderRequest, HeaderResponse),
        *(Scan, KnownFiles, ArchiveMetadata, EntryLabel, Index, tuple[str, ...]),
        *(VerifyRequest, Speed),
    ],
    ids=lambda kind: getattr(kind, "__name__", str(kind)),
)
@deterministic
@given(data=st.data())
def test_a_message_that_is_read_equals_the_message_that_was_sent(kind, data):
    sent = data.draw(values_of(kind))
    line = to_json(sent)
    assert "\n" not in line
    read = from_json(kind, line.encode())
    assert read == sent
    assert type(read) is type(sent)


@deterministic
@given(values_of(Request))
def test_requests_to_decode_and_to_read_headers_are_distinguished(sent):
    read: object = from_json(cast("type[Request]", Request), to_json(sent))
    assert (type(read), read) == (type(sent), sent)


@deterministic
@given(values_of(VerifyRequest))
def test_the_request_to_the_verifying_process_is_plain_json(sent):
    assert VerifyRequest(**json.loads(to_json(sent))) == sent


@pytest.mark.parametrize("kind", [ImagePrediction, OcclusionMap, ServedModels, Error])
@deterministic
@given(data=st.data())
def test_a_response_of_the_server_equals_the_message_that_the_client_reads(kind, data):
    sent = data.draw(values_of(kind, st.text(max_size=8)))
    # As FastAPI writes a response.
    line = json.dumps(sent.model_dump(mode="json"), ensure_ascii=False, allow_nan=False).encode()
    assert kind.model_validate_json(line, strict=True) == sent


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Preprocessing, '{"height": 8, "width": 8, "background": [1, 2, 3]}'),
        (Preprocessing, '{"height": 8, "width": 8, "background": [1, 2], "max_pixels": 9, "fit": "pad"}'),
        (Preprocessing, '{"height": 8.0, "width": 8, "background": [1, 2, 3], "max_pixels": 9, "fit": "pad"}'),
        (Preprocessing, '{"height": true, "width": 8, "background": [1, 2, 3], "max_pixels": 9, "fit": "pad"}'),
        (Preprocessing, '{"height": 8, "width": 8, "background": [1, 2, 3], "max_pixels": 9, "fit": "pad", "more": 1}'),
        (Preprocessing, '{"height": 8, "width": 8, "background": [1, 2, 3], "max_pixels": 9}'),
        (Preprocessing, '{"height": 8, "width": 8, "background": [1, 2, 3], "max_pixels": 9, "fit": "stretch"}'),
        (DecodeResponse, '{"hashes": ["a"], "headers": [["PNG", "RGB", 1]], "reasons": [null]}'),
        (DecodeResponse, '{"hashes": "abc", "headers": [], "reasons": []}'),
        (DecodeRequest, '{"images": [1.5]}'),
        (Request, '{"paths": [1]}'),
        (Ready, '{"ready": false}'),
        (Ready, "a line that a library printed"),
        (KnownFiles, '{"files": [["a", 1, 2, "b"]]}'),
        (KnownFiles, '{"files": {"a": [1, 2, null]}}'),
        (Speed, '{"cold_start_seconds": "1", "latency_ms": 1, "images_per_second": 1, "memory_mb": 1}'),
        (ImageHeader, '["PNG", "RGB", 1, 2, 3]'),
        (int, "[]"),
    ],
)
def test_json_of_another_type_is_an_error(kind, text):
    with pytest.raises(ValueError, match=r"expected JSON of|Expecting value"):
        from_json(kind, text)


def test_nan_is_an_error():
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(Speed(float("nan"), 1.0, 1.0, 1.0))
