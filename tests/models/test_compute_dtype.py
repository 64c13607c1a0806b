import itertools

import keras
import pytest
import tensorflow as tf

from saccade.models import compute_dtype
from saccade.models.compute_dtype import measure_compute_dtype


@pytest.mark.parametrize(
    ("single", "half", "expected"),
    [
        ([1.3], [1.0], "bfloat16"),
        ([1.1], [1.0], "float32"),  # digits are worth more than a tenth of the time
        ([1.0], [4.0], "float32"),
        ([9.0, 1.0], [8.0, 0.5], "bfloat16"),  # other work made the first of each longer
        ([1.0, 9.0], [1.0, 1.0], "float32"),
    ],
)
def test_it_is_bfloat16_where_its_shortest_time_is_a_sixth_shorter(monkeypatch, single, half, expected):
    times = {"float32": itertools.cycle(single), "bfloat16": itertools.cycle(half)}
    monkeypatch.setattr(compute_dtype, "_timed_step", lambda dtype: lambda: next(times[dtype]))
    assert measure_compute_dtype() == expected


def test_where_bfloat16_is_not_supported_it_is_float32(monkeypatch):
    def timed(dtype):
        if dtype == "bfloat16":
            raise tf.errors.UnimplementedError(None, None, "no kernel")
        return lambda: 1.0

    monkeypatch.setattr(compute_dtype, "_timed_step", timed)
    assert measure_compute_dtype() == "float32"


def test_both_are_really_run():
    assert all(compute_dtype._timed_step(dtype)() > 0 for dtype in ("float32", "bfloat16"))


def test_elsewhere_than_on_tensorflow_it_is_float32(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert measure_compute_dtype() == "float32"
