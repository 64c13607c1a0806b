"""Commands that other commands print: typed as they are printed."""

import shlex

import pytest
from tests.snippets import run_here

import saccade
from saccade.runs.run import Run
from saccade.runs.training_command import fine_tuning_command


@pytest.mark.long
def test_the_printed_command_fine_tunes_the_network_of_a_linear_head(probe_run, photo_folder, tmp_path):
    command = fine_tuning_command(probe_run)
    assert command == f"saccade train {photo_folder}"
    ended = run_here([*shlex.split(command)[1:], "--epochs", "2", "--out", "finetuned"], tmp_path)
    assert ended.code == 0, ended.shown
    assert [record.phase for record in Run.open(tmp_path / "finetuned").history()] == ["head", "augmented"]


def test_a_finished_head_prints_this_command(probe_run, tmp_path):
    for arguments in (["--resume", str(probe_run.path)], ["--extend", str(probe_run.path), "--epochs", "+1"]):
        ended = run_here(["train", *arguments], tmp_path)
        assert ended.code == 1
        assert fine_tuning_command(probe_run) in ended.stderr


@pytest.mark.long
def test_a_head_on_the_weights_of_a_run_is_fine_tuned_from_itself(tiny_run, tiny_folder, tmp_path):
    run = saccade.transfer(tiny_folder, tiny_run, epochs=1, out=tmp_path / "head", progress=False)
    command = fine_tuning_command(run)
    assert command == f"saccade train {tiny_folder} --from {run.path}"
    ended = run_here([*shlex.split(command)[1:], "--epochs", "2", "--out", "tuned"], tmp_path)
    assert ended.code == 0, ended.shown
    assert len(Run.open(tmp_path / "tuned").history()) == 2
