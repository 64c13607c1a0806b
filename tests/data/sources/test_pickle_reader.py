import pickle
import random
from typing import Any

import numpy as np
import pytest

from saccade.data.sources.pickle_reader import UnknownPickleError, read_pickle

BATCH: dict[bytes, Any] = {
    b"data": np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072),
    b"labels": [3, 8],
    b"filenames": [b"leptodactylus.png", b"camion.png"],
    b"batch_label": b"training batch 1 of 5",
}

# The form of the official files, which Python 2 wrote with protocol 2: strings by SHORT_BINSTRING and BINSTRING.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85"
    b"U\x01b\x87Rq\x05(K\x01K\x01K\x04\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK\x00tb\x89T\x04\x00\x00\x00\x00\x7f\x80\xfftbU\x06labelsq\x08]q\t(K\x06K\teu."
)


class Evil:
    """An object whose unpickling would create a file."""

    def __reduce__(self):
        return (open, ("was-called", "w"))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_a_batch_is_read_as_it_was_written(protocol):
    found = read_pickle(pickle.dumps(BATCH, protocol))
    assert found.keys() == BATCH.keys()
    assert np.array_equal(found[b"data"], BATCH[b"data"])
    assert found[b"data"].dtype == np.uint8
    assert {key: value for key, value in found.items() if key != b"data"} == {
        key: value for key, value in BATCH.items() if key != b"data"
    }


def test_arrays_in_fortran_order_keep_their_values():
    array = np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    assert np.array_equal(read_pickle(pickle.dumps({"a": array}, 4))["a"], array)


def test_a_pickle_of_python_2_is_read():
    found = read_pickle(PYTHON_2)
    assert found["data"].tolist() == [[0, 127, 128, 255]]
    assert found["labels"] == [6, 9]
    assert pickle.loads(PYTHON_2, encoding="latin-1")["data"].tolist() == [[0, 127, 128, 255]]


OTHERS = {
    "call": Evil(),
    "call inside": {"data": Evil()},
    "array of integers": np.arange(3, dtype=np.int64),
    "array of objects": np.array([object()]),
    "set": {1, 2},
    "function": print,
    "complex number": complex(1, 2),
    "deep list": [[[[[[1]]]]]],
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_refused_and_nothing_is_called(tmp_path, monkeypatch, protocol, other):
    monkeypatch.chdir(tmp_path)
    contents = pickle.dumps(OTHERS[other], protocol)
    with pytest.raises(UnknownPickleError):
        read_pickle(contents)
    assert not list(tmp_path.iterdir())


def test_shared_lists_are_not_multiplied():
    inner: list[object] = list(range(1000))
    middle = [inner] * 1000
    outer = [middle] * 1000  # a thousand million numbers, if the lists were copied
    found = read_pickle(pickle.dumps(outer, 4))
    assert found[999][999] is found[0][0]
    inner.append(inner)
    with pytest.raises(UnknownPickleError):
        read_pickle(pickle.dumps(inner, 4))


def test_damaged_pickles_are_refused_or_read():
    rng = random.Random(0)
    whole = [pickle.dumps(BATCH | {b"data": BATCH[b"data"][:, :12]}, protocol) for protocol in (2, 4)] + [PYTHON_2]
    rejected = 0
    for _ in range(3000):
        contents = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 4)):
            contents[rng.randrange(len(contents))] = rng.randrange(256)
        try:
            read_pickle(bytes(contents[: rng.choice([None, rng.randrange(len(contents))])]))
        except UnknownPickleError:
            rejected += 1
    assert rejected > 1000
