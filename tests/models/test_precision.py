"""Which dtype is faster, by clocks of the tests' own: both outcomes, whatever the processor."""

import keras
import pytest
import tensorflow as tf

from saccade.models import precision
from saccade.models.precision import measure_compute_dtype

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="float32 elsewhere")


def measured(monkeypatch, single, half):
    """What is found where a step in each dtype takes so many seconds, in turn, the last of them ever after."""

    def step(dtype):
        seconds = list(half if dtype == "bfloat16" else single)
        return lambda: seconds.pop(0) if len(seconds) > 1 else seconds[0]

    monkeypatch.setattr(precision, "_timed_step", step)
    return measure_compute_dtype()


@on_tensorflow
@pytest.mark.parametrize(
    ("single", "half", "found"),
    [
        ([1.0], [0.5], "bfloat16"),
        ([1.2], [1.0], "bfloat16"),
        ([1.1], [1.0], "float32"),  # a gain too small for the digits that are lost
        ([1.0], [4.0], "float32"),
        ([9.0, 9.0, 1.0], [0.5, 9.0, 9.0], "bfloat16"),  # other work on the machine makes some of the times longer
        ([1.0, 9.0, 9.0], [9.0, 9.0, 4.0], "float32"),
    ],
)
def test_it_is_the_one_whose_shortest_step_is_clearly_shorter(monkeypatch, single, half, found):
    assert measured(monkeypatch, single, half) == found


@on_tensorflow
def test_where_there_is_no_sixteen_bit_convolution_it_is_float32(monkeypatch):

    def step(dtype):
        if dtype == "bfloat16":
            raise tf.errors.UnimplementedError(None, None, "no kernel for bfloat16")
        return lambda: 1.0

    monkeypatch.setattr(precision, "_timed_step", step)
    assert measure_compute_dtype() == "float32"


@on_tensorflow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_in_each_dtype_takes_a_time(dtype):
    assert precision._timed_step(dtype)() > 0


@pytest.mark.backends
def test_elsewhere_than_on_tensorflow_it_is_float32(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert measure_compute_dtype() == "float32"
