"""Killed trainings with images that are decoded when they are needed: resumed to the bytes of one from the cache."""

import signal

import pytest
from tests.training.test_linear_probe_stopped import bytes_of, sent, typed

_WORDS = (
    "--recipe", "fast", "--epochs", 2, "--set", "image_size=32", "--set", "min_steps_per_epoch=0",
    "--set", "batch_size=12", "--set", "checkpoint_seconds=0",
)  # fmt: skip


@pytest.mark.long
def test_a_streamed_training_killed_in_its_steps_is_resumed_to_the_bytes_of_one_from_the_cache(photographs, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "run"
    done = typed("train", photographs, *_WORDS, "--out", whole)
    assert done.code == 0, done.stderr
    first = ["train", photographs, *_WORDS, "--stream", "--out", out]
    words = first
    for number in (3, 2):
        code, shown = sent("images", number, "SIGKILL", *words)
        assert code == -signal.SIGKILL, shown
        assert list((out / "checkpoints").iterdir())
        words = ["train", "--resume", out]
    repeated = typed(*first)
    assert repeated.code == 1
    assert f"to go on with it: saccade train --resume {out}" in repeated.stderr
    resumed = typed(*words)
    assert resumed.code == 0, resumed.stderr
    assert bytes_of(out) == bytes_of(whole)
