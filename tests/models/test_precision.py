"""Choice of the compute dtype, with simulated times: both outcomes on every processor."""

import keras
import pytest
import tensorflow as tf

from saccade.models import precision
from saccade.models.precision import measure_compute_dtype

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="float32 elsewhere")


def measured(monkeypatch, single, half):
    """Choose the dtype for simulated times of successive steps, in seconds; the last time is repeated."""

    def step(dtype):
        seconds = list(half if dtype == "bfloat16" else single)
        return lambda: seconds.pop(0) if len(seconds) > 1 else seconds[0]

    monkeypatch.setattr(precision, "timed_convolution", step)
    return measure_compute_dtype()


@on_tensorflow
@pytest.mark.parametrize(
    ("single", "half", "found"),
    [
        ([1.0], [0.5], "bfloat16"),
        ([1.2], [1.0], "bfloat16"),
        ([1.1], [1.0], "float32"),  # speedup below the minimum
        ([1.0], [4.0], "float32"),
        ([9.0, 9.0, 1.0], [0.5, 9.0, 9.0], "bfloat16"),  # some steps are slowed down by other processes
        ([1.0, 9.0, 9.0], [9.0, 9.0, 4.0], "float32"),
    ],
)
def test_the_dtype_with_the_clearly_shorter_minimum_time_is_chosen(monkeypatch, single, half, found):
    assert measured(monkeypatch, single, half) == found


@on_tensorflow
def test_float32_is_chosen_without_a_bfloat16_convolution(monkeypatch):
    def step(dtype):
        if dtype == "bfloat16":
            raise tf.errors.UnimplementedError(None, None, "no kernel for bfloat16")
        return lambda: 1.0

    monkeypatch.setattr(precision, "timed_convolution", step)
    assert measure_compute_dtype() == "float32"


@on_tensorflow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_in_each_dtype_is_timed(dtype):
    assert precision.timed_convolution(dtype)() > 0


@pytest.mark.backends
def test_float32_is_chosen_on_other_backends(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert measure_compute_dtype() == "float32"
