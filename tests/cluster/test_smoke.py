"""Work on a Ray that starts and ends with the command, once a day; `make test-ray` has the other tests."""

import json
import os
import subprocess
import sys

import pytest

import saccade


def test_without_ray_the_error_names_what_to_install(tiny_run, tiny_folder, tmp_path):
    (tmp_path / "ray.py").write_text("raise ImportError('no Ray here')")
    failed = _predict(tiny_run, tiny_folder, tmp_path / "out", {"PYTHONPATH": str(tmp_path)})
    assert failed.returncode == 1
    assert "pip install 'saccade[ray]'" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_without_ray_a_training_ends_before_the_data_is_read(tmp_path):
    (tmp_path / "ray.py").write_text("raise ImportError('no Ray here')")
    words = ["train", "digits", "--seeds", "2", "--out", str(tmp_path / "out"), "--ray"]
    failed = _saccade(words, {"PYTHONPATH": str(tmp_path)})
    assert failed.returncode == 1
    assert "pip install 'saccade[ray]'" in failed.stderr
    assert "read as" not in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_local_ray_gives_the_predictions_of_the_plain_command_to_the_bit(tiny_run, tiny_folder, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed: `make test-ray` installs it")
    import pyarrow.dataset

    done = _predict(tiny_run, tiny_folder, tmp_path / "out", {"HOME": str(tmp_path / "home")})

    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "home/.ray/auth_token").exists()  # Ray would use it for each later cluster
    assert json.loads(done.stdout)["num_images"] == 60
    rows = sorted(pyarrow.dataset.dataset(tmp_path / "out").to_table().to_pylist(), key=lambda row: row["id"])
    predictions = saccade.predict(tiny_run, tiny_folder / "test")
    assert [row["name"] for row in rows] == [one.name for one in predictions]
    assert [[each["probability"] for each in row["top"]] for row in rows] == [
        [each.probability for each in one.top] for one in predictions
    ]
    assert not (tmp_path / "out.checkpoint").exists()


def test_a_local_ray_gives_the_features_of_the_plain_command_to_the_bit(photographs, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed: `make test-ray` installs it")
    import pyarrow.dataset
    import pyarrow.parquet

    words = ["embed", str(photographs), "--out", str(tmp_path / "out"), "--json", "--workers", "1", "--ray"]
    done = subprocess.run([sys.executable, "-m", "saccade", *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num_features"] == 1280
    saccade.embed(photographs, out=tmp_path / "plain.parquet")
    found = pyarrow.dataset.dataset(tmp_path / "out").to_table().sort_by("id").drop_columns(["id"])
    assert found.to_pylist() == pyarrow.parquet.read_table(tmp_path / "plain.parquet").to_pylist()


def _predict(run, folder, out, environment):
    words = ["predict", str(run.path), str(folder / "test"), "--out", str(out), "--json", "--workers", "1", "--ray"]
    return _saccade(words, environment)


def _saccade(words, environment):
    return subprocess.run(
        [sys.executable, "-m", "saccade", *words],
        env={**os.environ, **environment}, check=False, capture_output=True, text=True,
    )  # fmt: skip
