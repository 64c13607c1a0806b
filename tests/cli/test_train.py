import subprocess
import sys

import pytest
from tests.snippets import run_here

from saccade.cli.train_options import choose_recipe


def saccade(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "saccade", *arguments], capture_output=True, text=True, check=False, **options
    )


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
        (["--minutes", "2", "--epochs", "3"], 2, "--epochs cannot be combined with --minutes."),
        (["--minutes", "2", "--seeds", "3"], 2, "--minutes cannot be combined with --seeds."),
        (
            ["--resume", "nowhere", "--minutes", "3"],
            2,
            "--minutes cannot be combined with --resume: the run has its own.",
        ),
    ],
)
def test_a_wrong_argument_is_reported(arguments, code, message, tmp_path):
    result = run_here(["train", *arguments], tmp_path)
    assert result.code == code
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


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
    # An unfinished run cannot be extended.
    failed = saccade("train", "--extend", str(out), "--epochs", "+1")
    assert failed.returncode == 1
    assert f"saccade train --resume {out}" in failed.stderr
    with subprocess.Popen([*command[:4], "--resume", str(out)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
        process.kill()
    assert any(line.startswith("resuming from the checkpoint of step") for line in lines), lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "RUN", "--recipe", "fast"], "--recipe cannot be combined with --resume"),
        (["--resume", "RUN", "--epochs", "3"], "--epochs cannot be combined with --resume"),
        (["--extend", "RUN"], "--extend requires --epochs +N"),
        (["--extend", "RUN", "--resume", "RUN"], "--extend cannot be combined with --resume"),
        (["--schedule", "hold"], "--schedule requires --extend"),
        (["--force"], "--force requires --resume"),
        (["--checkpoint-every", "often"], "'often' is not a time"),
    ],
)
def test_incompatible_options_have_exit_code_2(arguments, message, tmp_path):
    result = run_here(["train", *arguments], tmp_path)
    assert result.code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.long
def test_an_accuracy_of_the_images_that_chose_the_weights_is_called_optimistic(tiny_folder, tmp_path):
    small = [str(tiny_folder), "--recipe", "folder", "--epochs", "2", "--set", "image_size=16"]
    chosen = run_here(["train", *small, "--set", "keep=best", "--out", "chosen"], tmp_path)
    assert "optimistic: these same images chose the weights" in chosen.stdout
    assert "`saccade evaluate` measures on the test split" in chosen.stdout
    last = run_here(["train", *small, "--set", "translate=0.2", "--out", "last"], tmp_path)
    assert "note: translate: no effect, since this training has no augmented epochs" in last.stderr
    assert "no effect" not in chosen.stderr
    assert "validation accuracy" in last.stdout
    assert "optimistic" not in last.stdout
    scored = run_here(["evaluate", "chosen", "--split", "validation"], tmp_path)
    assert "these images, or half of them, chose the weights" in scored.stdout + scored.stderr


def test_a_default_recipe_is_printed_with_the_reason(dataset, capsys):
    chosen = choose_recipe(dataset, {}, None, None)
    assert capsys.readouterr().err == f"recipe: {chosen.name}, the default up to 64 pixels\n"
    choose_recipe(dataset, {}, "folder", None)
    assert capsys.readouterr().err == ""
