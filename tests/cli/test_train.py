import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from saccade.cli.main import cli


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
    assert "weights of epoch 2 of 2 kept" in result.stdout
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


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "nowhere"),
        (["--recipe", "quik"], 1, "did you mean 'quick'?"),
        (["--set", "batchsize=3"], 1, "did you mean 'batch_size'?"),
        (["--set", "learning_rate=fast"], 1, "key 'learning_rate' can't be 'fast'"),
        (["--set", "learning_rate"], 2, "is not KEY=VALUE"),
        (["--epochs", "0"], 2, "0 is not in the range x>=1"),
        (["--minutes", "0"], 2, "0.0 is not in the range x>0"),
        (["--minutes", "2", "--epochs", "3"], 2, "--epochs has no meaning beside --minutes."),
        (["--minutes", "2", "--seeds", "3"], 2, "--minutes has no meaning beside --seeds."),
        (
            ["--resume", "nowhere", "--minutes", "3"],
            2,
            "--minutes has no meaning beside --resume: the run has its own.",
        ),
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


@pytest.mark.nightly
def test_a_killed_training_is_resumed_and_an_unfinished_one_not_extended(tiny_folder, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", str(tiny_folder), "--recipe", "folder", "--epochs", "300", "--batch-size", "12"]
    command = [sys.executable, "-m", "saccade", *arguments, "--checkpoint-every", "0s", "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("epoch 3/"):
            assert process.poll() is None
        result = saccade("train", "--resume", str(out))
        assert result.returncode == 1
        assert f"process {process.pid}" in result.stderr
        process.kill()
    # So that the test need not wait for 300 epochs; the checkpoints belong to the recipe as it was.
    refused = saccade("train", "--extend", str(out), "--epochs", "+1")
    assert refused.returncode == 1
    assert f"saccade train --resume {out}" in refused.stderr
    with subprocess.Popen([*command[:4], "--resume", str(out)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
        process.kill()
    assert any(line.startswith("going on from the checkpoint of step") for line in lines), lines


def test_a_finished_run_is_extended_and_with_json_nothing_else_is_on_stdout(trained, tmp_path):
    out, _ = trained
    more = tmp_path / "more"
    arguments = ["--epochs", "+1", "--schedule", "anneal", "--out", str(more), "--json"]
    result = saccade("train", "--extend", str(out), *arguments)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["run"], answer["state"]) == (str(more), "finished")
    assert (answer["epochs"], answer["kept_epoch"]) == (3, 3)
    assert 0 <= answer["validation_accuracy"] <= 1
    assert json.loads((more / "parent.json").read_text())["path"] == str(out.resolve())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "RUN", "--recipe", "fast"], "--recipe has no meaning beside --resume"),
        (["--resume", "RUN", "--epochs", "3"], "--epochs has no meaning beside --resume"),
        (["--extend", "RUN"], "--extend needs --epochs +N"),
        (["--extend", "RUN", "--resume", "RUN"], "--extend has no meaning beside --resume"),
        (["--schedule", "hold"], "--schedule belongs to --extend"),
        (["--force"], "--force belongs to --resume"),
        (["--checkpoint-every", "often"], "'often' is not a time"),
    ],
)
def test_options_that_do_not_go_together_are_a_wrong_command_line(arguments, message):
    result = saccade("train", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_accuracy_of_the_pictures_that_chose_the_weights_is_called_optimistic(tiny_folder, tmp_path):
    small = ["--recipe", "folder", "--epochs", "1", "--set", "image_size=16"]

    def typed(*arguments):
        done = CliRunner().invoke(cli, list(map(str, arguments)))
        assert done.exit_code == 0, done.output
        return done.output

    chosen = typed("train", tiny_folder, *small, "--set", "keep=best", "--out", tmp_path / "chosen")
    assert "optimistic: these same pictures chose the weights" in chosen
    last = typed("train", tiny_folder, *small, "--out", tmp_path / "last")
    assert "validation accuracy" in last
    assert "optimistic" not in last
    found = typed("train", tiny_folder, *small, "--set", "keep=best", "--json", "--out", tmp_path / "json")
    assert json.loads(found[found.index("{") :])["weights_chosen_by_validation"] is True
    assert "these pictures, or half of them, chose the weights" in typed(
        "evaluate", tmp_path / "chosen", "--split", "validation"
    )
