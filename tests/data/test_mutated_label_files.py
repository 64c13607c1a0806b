"""Mutated label files: each is read, or refused by one error of Saccade, and none takes long."""

import io
import json
import random
import time
from collections import Counter

import pytest
from tests.data.images import write

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.label_files.label_file import list_label_file
from saccade.errors import SaccadeError

NUM_FILES = 2000
MAX_SECONDS = 20  # of processor time, for all files

HEADER = ("file_name", "label", "split", "group", "note")
ROWS = [
    (
        f"{'abc'[number % 3]}/{number}.png",
        ("cat", "dog", "bird")[number % 3],
        ("train", "test")[number % 2],
        number // 4,
    )
    for number in range(12)
]


def delimited(delimiter):
    lines = [HEADER, *((*row, f'"a{delimiter} ""b"" é"') for row in ROWS)]
    return "\n".join(delimiter.join(map(str, line)) for line in lines).encode()


def json_lines():
    return "\n".join(json.dumps(dict(zip(HEADER, (*row, None), strict=True))) for row in ROWS).encode()


def parquet():
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = dict(zip(HEADER, zip(*((*row, "x") for row in ROWS), strict=True), strict=True))
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table({name: list(values) for name, values in columns.items()}), stream)
    return stream.getvalue()


def change_bytes(draw, contents):
    changed = bytearray(contents)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def change_a_bit(draw, contents):
    changed = bytearray(contents)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(draw, contents):
    return contents[: draw.randrange(len(contents))]


def cut_out(draw, contents):
    start, end = sorted((draw.randrange(len(contents)), draw.randrange(len(contents))))
    return contents[:start] + contents[end:]


def double_lines(draw, contents):
    lines = contents.split(b"\n")
    return b"\n".join(line for line in lines for _ in range(draw.choice((1, 1, 2, 0))))


def exchange_delimiters(draw, contents):
    return contents.replace(
        draw.choice((b",", b"\n", b'"', b"/", b":")), draw.choice((b";", b"\t", b",", b"\r", b'"', b"|", b""))
    )


def insert(draw, contents):
    pieces = (
        *(
            b"\0",
            b"\0" * 100,
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            b'"',
            b"\r",
            b"\n" * 50,
            b",,,,",
            b"../",
            b"/",
            b"\\",
            b"http://",
        ),
        *(
            b"x" * 200_000,
            b"9" * 5000,
            b"[" * 5000,
            b'{"a":' * 3000,
            b"\xe2\x80\xa8",
            b"\\ud800",
            b"1e999",
            b"NaN",
            b"null",
        ),
    )
    place = draw.randrange(len(contents) + 1)
    return contents[:place] + draw.choice(pieces) + contents[place:]


def encode_otherwise(draw, contents):
    text = contents.decode("latin-1")
    return text.encode(draw.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "utf-8")))


MUTATIONS = (change_bytes, change_a_bit, cut, cut_out, double_lines, exchange_delimiters, insert, encode_otherwise)
KINDS = {"csv": lambda: delimited(","), "tsv": lambda: delimited("\t"), "jsonl": json_lines, "parquet": parquet}
SHARES = {"csv": 0.35, "tsv": 0.15, "jsonl": 0.3, "parquet": 0.2}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutated")
    for path, *_ in ROWS:
        write(folder / path, path.encode())
    return folder


def outcome(path):
    """Return "read", or the code of the error; any other exception ends the test."""
    try:
        listing = list_label_file(path, ReadingOptions())
    except SaccadeError as error:
        return checked_code(error)
    assert len(listing.signature()) == len("00" * 32)
    assert listing.images
    assert len(listing.class_names) >= 2
    return "read"


def checked_code(error):
    assert len(str(error)) < 5000
    assert str(error).replace("\n", "").isprintable()
    return error.code


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_label_file_is_read_or_refused_by_one_error(kind, images):
    original = KINDS[kind]()
    path = write(images / f"labels.{kind}", original)
    assert outcome(path) == "read"
    outcomes: Counter[str | None] = Counter()
    began = time.process_time()
    for number in range(round(SHARES[kind] * NUM_FILES)):
        draw = random.Random(f"{kind} {number}")
        contents = original
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            contents = draw.choice(MUTATIONS)(draw, contents or b"x")
        path.write_bytes(contents)
        try:
            outcomes[outcome(path)] += 1
        except Exception as error:
            raise AssertionError(f"mutation {number} of {kind}: {contents[:200]!r}") from error
    assert time.process_time() - began < SHARES[kind] * MAX_SECONDS
    assert outcomes["label-file"] > 20, outcomes
    assert outcomes["read"] > 20 or kind == "parquet", outcomes


def test_the_shares_make_2000_files():
    assert sum(round(share * NUM_FILES) for share in SHARES.values()) == NUM_FILES
