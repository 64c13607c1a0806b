from saccade.data import cache
from saccade.training import machine_dtype
from saccade.training.machine_dtype import compute_dtype_of_machine


def test_it_is_measured_once_and_then_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path))
    answers = iter(["bfloat16", "float32"])
    monkeypatch.setattr(machine_dtype, "measure_compute_dtype", lambda: next(answers))
    assert [compute_dtype_of_machine() for _ in range(3)] == ["bfloat16"] * 3
    (entry,) = cache.cache_entries()
    assert entry.name == "compute dtype: bfloat16"
    # Damaged, or cleared away: measured again.
    next(tmp_path.rglob("compute_dtype.json")).write_text("[1]")
    assert compute_dtype_of_machine() == "float32"


def test_where_nothing_can_be_written_it_is_measured_each_time(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    answers = iter(["bfloat16", "float32"])
    monkeypatch.setattr(machine_dtype, "measure_compute_dtype", lambda: next(answers))
    assert [compute_dtype_of_machine() for _ in range(2)] == ["bfloat16", "float32"]
