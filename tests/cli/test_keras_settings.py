"""Global Keras settings of the configuration file, the environment or the program: same results or an error."""

import json
import os
import subprocess
import sys

import keras
import pytest

import saccade
from saccade.errors import KerasError, SaccadeError

SETTINGS = {"image_size": 16, "batch_size": 12}


def typed(home, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "saccade", *map(str, arguments)],
        env=os.environ | {"KERAS_HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def configured(folder, **settings):
    defaults = {"floatx": "float32", "epsilon": 1e-7, "backend": "tensorflow", "image_data_format": "channels_last"}
    folder.mkdir()
    (folder / "keras.json").write_text(json.dumps(defaults | settings))
    return folder


@pytest.mark.long
def test_commands_do_not_depend_on_the_keras_settings_of_the_user(tiny_folder, tmp_path):
    home = configured(
        tmp_path / "home", floatx="float64", epsilon=0.5, backend="jax", image_data_format="channels_first"
    )
    options = ["--recipe", "folder", "--epochs", 1, "--batch-size", 12, "--set", "image_size=16"]
    trained = typed(home, "train", tiny_folder, *options, "--out", tmp_path / "there")
    assert trained.returncode == 0, trained.stderr
    here = saccade.train(
        tiny_folder, recipe="folder", epochs=1, settings=SETTINGS, out=tmp_path / "here", progress=False
    )
    there = saccade.Run.open(tmp_path / "there")
    assert (there.path / "weights.safetensors").read_bytes() == (here.path / "weights.safetensors").read_bytes()
    evaluated = typed(home, "evaluate", there.path, "--json", KERAS_BACKEND="torch")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["accuracy"] == saccade.evaluate(here).accuracy
    assert json.loads((home / "keras.json").read_text())["floatx"] == "float64"


def test_an_invalid_keras_configuration_file_is_named(tiny_run, tmp_path):
    home = configured(tmp_path / "home", floatx="bfloat16")
    exported = typed(home, "export", tiny_run.path, "--format", "keras", "--out", tmp_path / "model.keras")
    assert exported.returncode == 1
    assert "Traceback" not in exported.stderr
    assert str(home / "keras.json") in exported.stderr
    assert "bfloat16" in exported.stderr


@pytest.mark.parametrize(
    ("change", "restore", "found"),
    [
        (lambda: keras.config.set_floatx("float64"), lambda: keras.config.set_floatx("float32"), "floatx = float64"),
        (
            lambda: keras.config.set_image_data_format("channels_first"),
            lambda: keras.config.set_image_data_format("channels_last"),
            "image_data_format = channels_first",
        ),
        (
            lambda: keras.config.set_dtype_policy("mixed_bfloat16"),
            lambda: keras.config.set_dtype_policy("float32"),
            "dtype_policy = mixed_bfloat16",
        ),
    ],
)
def test_a_program_with_other_keras_settings_gets_an_error_and_keeps_the_settings(
    tiny_run, run_copy, tiny_folder, tmp_path, change, restore, found
):
    change()
    try:
        for work in (
            lambda: saccade.train(tiny_folder, recipe="folder", out=tmp_path / "trained", epochs=1, progress=False),
            lambda: saccade.report(run_copy),
            lambda: saccade.export(tiny_run, out=tmp_path / "model.keras"),
        ):
            with pytest.raises(SaccadeError, match=found) as caught:
                work()
            assert "keras.config.set_" in str(caught.value.remedy)
        assert not (tmp_path / "trained").exists()
        now = f"{keras.config.floatx()} {keras.config.image_data_format()} {keras.config.dtype_policy().name}"
        assert found.partition(" = ")[2] in now
    finally:
        restore()


def test_another_keras_backend_of_a_program_is_an_error(run_copy, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for work in (
        lambda: saccade.train(tiny_folder, recipe="folder", out=tmp_path / "trained", epochs=1, progress=False),
        lambda: saccade.report(run_copy),
    ):
        with pytest.raises(KerasError, match="needs Keras to run on TensorFlow") as caught:
            work()
        assert "jax" in str(caught.value.found)
