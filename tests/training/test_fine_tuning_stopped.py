"""Stopped and killed trainings of the recipe `photo`, which fits a head and fine-tunes: resumed to the same bytes."""

import random
import signal
from contextlib import suppress

import pytest
from tests.training.test_linear_probe_stopped import bytes_of, sent, typed

from saccade.data.cache.disk_cache import clear_cache
from saccade.errors import DataError

# About 54 training images: 14 calls for each of two versions, 15 fits at least, 2 epochs of 4 steps, 3 validations.
_NUMBERS = {"outputs": 28, "head": 15, "steps": 8, "choice": 3}
_WORDS = (
    "--recipe", "photo", "--epochs", 3, "--set", "augmented_versions=1", "--set", "batch_size=16",
    "--set", "image_size=64",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(photographs, tmp_path_factory):
    """A run without a stop, which keeps a checkpoint after every step, as the stopped runs do."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert typed("train", photographs, *_WORDS, "--set", "checkpoint_seconds=0", "--out", out).code == 0
    return out


def forget(kind):
    """Remove the entries of a kind from the cache, if there are any."""
    with suppress(DataError):
        clear_cache(kind)


def killed(photographs, out, where, number, *options):
    """Start or resume a training that is killed at a place."""
    words = (photographs, *_WORDS, "--set", "checkpoint_seconds=0", *options, "--out", out)
    code, shown = sent(where, number, "SIGKILL", "train", *(("--resume", out) if out.exists() else words))
    assert code == -signal.SIGKILL, shown


@pytest.mark.long
@pytest.mark.parametrize("options", [(), ("--stream",)], ids=["from the cache", "streamed"])
def test_a_training_killed_in_outputs_steps_and_choice_is_resumed_to_the_same_bytes(
    options, photographs, whole, tmp_path
):
    out = tmp_path / "run"
    forget("outputs")
    if options:
        forget("decoded")
    for where, number in (("outputs", 5), ("steps", 3), ("choice", 2)):
        killed(photographs, out, where, number, *options)
    resumed = typed("train", "--resume", out)
    assert resumed.code == 0, resumed.stderr
    assert bytes_of(out) == bytes_of(whole)
    if options:
        assert "decoded" not in {entry["kind"] for entry in typed("cache", "--json").json["entries"]}


@pytest.mark.long
def test_ctrl_c_in_the_outputs_ends_the_training_and_names_the_command_to_resume(photographs, tmp_path):
    out = tmp_path / "run"
    forget("outputs")
    code, shown = sent("outputs", 3, "SIGINT", "train", photographs, *_WORDS, "--out", out)
    assert code == 130, shown
    assert "stopping; the outputs that are computed so far are kept in the cache" in shown
    assert f"to resume: saccade train --resume {out}\n" in shown
    assert "Traceback" not in shown
    kinds = {entry["kind"] for entry in typed("cache", "--json").json["entries"]}
    assert "outputs" in kinds


@pytest.mark.nightly
@pytest.mark.parametrize("where", ["outputs", "steps", "choice"])
def test_ten_kills_in_each_part_lose_nothing(photographs, whole, tmp_path, where):
    """The outputs are removed from the cache before a training and after every other kill.

    A number that is too large for the part, or for what is left of it, is no kill.
    """
    draw, kills, trainings = random.Random(where), 0, 0
    while kills < 10:
        out, trainings = tmp_path / f"run-{trainings}", trainings + 1
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            if kills % 2 == 0 or not out.exists():
                forget("outputs")
            most = _NUMBERS[where] if where == "outputs" else 2  # a resumed training has few steps left
            words = (photographs, *_WORDS, "--set", "checkpoint_seconds=0", "--out", out)
            code, shown = sent(
                where, draw.randint(1, most), "SIGKILL", "train", *(("--resume", out) if out.exists() else words)
            )
            kills += code == -signal.SIGKILL
            if kills == 10 and code == -signal.SIGKILL:
                resumed = typed("train", "--resume", out)
                code, shown = resumed.code, resumed.stderr
        assert code == 0, shown
        assert bytes_of(out) == bytes_of(whole)
