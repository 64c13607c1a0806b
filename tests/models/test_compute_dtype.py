import keras
import pytest

from saccade.models.compute_dtype import measure_compute_dtype


@pytest.mark.backends
def test_it_is_one_of_two():
    assert measure_compute_dtype() in ("float32", "bfloat16")


def test_elsewhere_than_on_tensorflow_it_is_float32(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert measure_compute_dtype() == "float32"
