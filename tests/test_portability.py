"""Training, evaluation and prediction on a system without `fcntl` and `resource`, such as Windows."""

import os
import subprocess
import sys

import pytest

WITHOUT_MODULES = 'import sys\nsys.modules["fcntl"] = sys.modules["resource"] = None\n'
WARNING = (
    "warning: on this system processes that use the cache at the same time do not lock its entries; "
    "memory and time of decoding an image are not limited"
)
SMALL = ("--recipe", "folder", "--epochs", "1", "--batch-size", "64", "--set", "image_size=16")


@pytest.fixture
def saccade(tmp_path):
    """A function that types a command in a process without the modules; its own processes lack them as well."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITHOUT_MODULES)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "SACCADE_CACHE": str(tmp_path / "cache")}

    def run(*words):
        command = [sys.executable, "-m", "saccade", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    return run


@pytest.mark.long
def test_train_evaluate_and_predict_without_fcntl_and_resource(saccade, tiny_folder):
    image = next((tiny_folder / "test" / "one").iterdir())
    for words, expected in [
        (("train", tiny_folder, *SMALL, "--out", "run"), "epoch 1/1"),
        (("evaluate", "run"), "accuracy"),
        (("predict", "run", image), image.name),
    ]:
        ended = saccade(*words)
        assert ended.returncode == 0, ended.stderr
        assert expected in ended.stdout + ended.stderr
        warnings = [line for line in ended.stderr.splitlines() if line.startswith("warning: on this system")]
        assert warnings == [WARNING]


def test_nothing_is_missing_here(capfd):
    pytest.importorskip("fcntl")
    subprocess.run([sys.executable, "-m", "saccade", "recipes"], check=True)
    assert "warning" not in capfd.readouterr().err
