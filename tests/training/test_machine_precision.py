import pytest

import saccade
from saccade.data.cache import disk_cache
from saccade.training import machine_precision
from saccade.training.machine_precision import fastest_compute_dtype


def test_the_dtype_is_measured_once_and_then_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path))
    dtypes = iter(["bfloat16", "float32"])
    monkeypatch.setattr(machine_precision, "measure_compute_dtype", lambda: next(dtypes))
    assert [fastest_compute_dtype() for _ in range(3)] == ["bfloat16"] * 3
    (entry,) = disk_cache.cache_entries()
    assert entry.name == "compute dtype: bfloat16"
    # A damaged entry is measured again.
    next(tmp_path.rglob("compute_dtype.json")).write_text("[1]")
    assert fastest_compute_dtype() == "float32"


def test_without_a_writable_cache_the_dtype_is_measured_each_time(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    dtypes = iter(["bfloat16", "float32"])
    monkeypatch.setattr(machine_precision, "measure_compute_dtype", lambda: next(dtypes))
    assert [fastest_compute_dtype() for _ in range(2)] == ["bfloat16", "float32"]


@pytest.mark.parametrize("measured", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def test_a_training_computes_in_the_measured_dtype_and_saves_float32(tiny_folder, tmp_path, monkeypatch, measured):
    monkeypatch.setattr("saccade.training.machine_precision.fastest_compute_dtype", lambda: measured)
    run = saccade.train(tiny_folder, recipe="folder", epochs=1, out=tmp_path / "run", progress=False)
    assert run.environment().compute_dtype == measured
    assert {str(value.dtype) for value in run.weights().values()} == {"float32"}
    other = saccade.train(
        tiny_folder, recipe="folder", epochs=1, settings={"compute": measured}, out=tmp_path / "set", progress=False
    )
    assert (run.path / "weights.safetensors").read_bytes() == (other.path / "weights.safetensors").read_bytes()
