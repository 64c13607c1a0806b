import json
import subprocess
import sys

import pytest


def saccade(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "saccade", *arguments], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def trained(tiny_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "run"
    arguments = ["--recipe", "folder", "--epochs", "2", "--batch-size", "16", "--seed", "3", "--set", "shift=0.05"]
    return out, saccade("train", str(tiny_folder), *arguments, "--out", str(out), "--summary")


def test_a_training_tells_what_it_trains_on_how_it_goes_and_what_came_of_it(trained):
    out, result = trained
    assert result.returncode == 0, result.stderr
    assert "data: tiny, 3 classes, 120 train, 60 test, 32x32 pixels" in result.stderr
    assert "epoch 1/2: loss" in result.stderr
    assert "conv1 (Conv2D)" in result.stderr
    assert "validation accuracy" in result.stdout
    assert "n = 12" in result.stdout
    assert result.stdout.splitlines()[-1] == f"next: saccade evaluate {out}"


def test_piped_output_is_plain_lines(trained):
    _, result = trained
    assert "\r" not in result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert "oneDNN" not in result.stderr


def test_options_reach_the_recipe(trained):
    out, _ = trained
    recipe = json.loads((out / "recipe.json").read_text())
    assert (recipe["batch_size"], recipe["seed"], recipe["plain_epochs"], recipe["shift"]) == (16, 3, 2, 0.05)


def test_json_is_the_only_thing_on_stdout(tiny_folder, tmp_path):
    result = saccade(
        "train", str(tiny_folder), "--recipe", "folder", "--epochs", "1", "--out", str(tmp_path / "r"), "--json"
    )
    answer = json.loads(result.stdout)
    assert answer["run"] == str(tmp_path / "r")
    assert answer["state"] == "finished"
    assert 0 <= answer["validation_accuracy"] <= 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "nowhere"),
        (["--recipe", "quik"], 1, "did you mean 'quick'?"),
        (["--set", "batchsize=3"], 1, "did you mean 'batch_size'?"),
        (["--set", "learning_rate=fast"], 1, "key 'learning_rate' can't be 'fast'"),
        (["--set", "learning_rate"], 2, "is not KEY=VALUE"),
        (["--epochs", "0"], 2, "0 is not in the range x>=1"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(arguments, code, message, tmp_path):
    result = saccade("train", *arguments, cwd=tmp_path)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_an_existing_run_is_left_alone(trained, tiny_folder):
    out, _ = trained
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    result = saccade("train", str(tiny_folder), "--recipe", "folder", "--out", str(out))
    assert result.returncode == 1
    assert "a run is never overwritten" in result.stderr
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
