import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from saccade.errors import RunError
from saccade.runs.checkpoints import Checkpoint, Checkpoints
from saccade.runs.lock import locked_for_training
from saccade.runs.records import EpochRecord
from saccade.runs.training_state import TrainingState

WRITER = Path(__file__).with_name("checkpoint_writer.py")


def a_checkpoint(step):
    record = EpochRecord(
        epoch=1, phase="plain", steps=4, learning_rate=0.1, loss=1 / 3, accuracy=0.1 + 0.2,
        validation_loss=None, validation_accuracy=None,
    )  # fmt: skip
    state = TrainingState(
        step=step, epoch=1, seen=8, steps=2, loss_sum=2 / 3, correct=3, history=[record], timings=[(0.7, 16)]
    )
    arrays = {
        "network": {"conv/kernel": np.arange(6, dtype=np.float32).reshape(2, 3) / step},
        "optimizer": {"000": np.array(step), "001": np.array([2**32 - 1], np.uint32)},
    }
    return Checkpoint(state, arrays)


@pytest.fixture
def store(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", "this run")


def steps_in(store):
    return sorted(path.name for path in store.folder.iterdir())


def test_a_checkpoint_is_read_back_bit_for_bit(store):
    written = a_checkpoint(7)
    store.write(written)
    read = store.latest().checkpoint
    assert read.state == written.state
    for part, arrays in written.arrays.items():
        assert read.arrays[part].keys() == arrays.keys()
        for name, value in arrays.items():
            assert (read.arrays[part][name].dtype, read.arrays[part][name].shape) == (value.dtype, value.shape)
            np.testing.assert_array_equal(read.arrays[part][name], value)


def test_the_last_two_checkpoints_are_kept(store):
    for step in (3, 20, 100):
        store.write(a_checkpoint(step))
    assert steps_in(store) == ["step-00000020", "step-00000100"]
    assert store.latest().checkpoint.state.step == 100


def test_the_last_intact_checkpoint_is_kept_where_a_newer_one_is_damaged(store):
    store.write(a_checkpoint(1))
    store.write(a_checkpoint(2))
    (store.folder / "step-00000002" / "state.json").write_text("{}")
    again = Checkpoints(store.folder, store.run)
    again.write(a_checkpoint(3))
    assert steps_in(store) == ["step-00000001", "step-00000003"]


def test_without_checkpoints_the_latest_is_none(store):
    assert store.latest().checkpoint is None
    assert store.latest().damaged == ()


def test_checkpoints_of_another_run_or_another_step_are_damaged(store):
    store.write(a_checkpoint(1))
    store.write(a_checkpoint(2))
    (store.folder / "step-00000002").rename(store.folder / "step-00000009")
    found = store.latest()
    assert found.checkpoint.state.step == 1
    assert [damaged.reason for damaged in found.damaged] == ["it is that of step 2"]
    others = Checkpoints(store.folder, "another run").latest()
    assert others.checkpoint is None
    assert {damaged.reason for damaged in others.damaged} == {"it belongs to another run"}


def test_a_link_in_place_of_a_file_is_damage(store, tmp_path):
    store.write(a_checkpoint(1))
    state = store.folder / "step-00000001" / "state.json"
    state.rename(tmp_path / "elsewhere.json")
    state.symlink_to(tmp_path / "elsewhere.json")
    assert [damaged.reason for damaged in store.latest().damaged] == ["state.json is not a file"]


def test_clean_removes_unfinished_checkpoints(store):
    store.write(a_checkpoint(1))
    (store.folder / "tmp-1234").mkdir()
    store.clean()
    assert steps_in(store) == ["step-00000001"]


def run_writer(what, folder, count):
    result = subprocess.run(
        [sys.executable, str(WRITER), what, str(folder), str(count), "1"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("count", [pytest.param(60, id="60"), pytest.param(2000, id="2000", marks=pytest.mark.nightly)])
def test_a_killed_writer_leaves_a_complete_checkpoint(tmp_path, count):
    assert run_writer("kill", tmp_path / "checkpoints", count) == {"kills": count}


@pytest.mark.parametrize("count", [pytest.param(60, id="60"), pytest.param(1000, id="1000", marks=pytest.mark.nightly)])
def test_damaged_checkpoints_are_detected_and_intact_ones_accepted(tmp_path, count):
    counts = run_writer("damage", tmp_path / "checkpoints", count)
    assert counts == {"damaged": count, "detected": count, "intact": count, "accepted": count}


def test_file_size_limits_and_read_only_folders_leave_earlier_checkpoints_intact():
    with tempfile.TemporaryDirectory() as folder:  # the child changes to a user that can't read pytest's own folders
        counts = run_writer("limit", Path(folder) / "checkpoints", 50)
    assert counts["limits"] == 50
    assert counts["unreadable"] >= 25


def test_a_second_training_of_a_run_is_an_error_that_names_the_process_of_the_first(tmp_path):
    holding = (
        "import sys, time\nfrom pathlib import Path\nfrom saccade.runs.lock import locked_for_training\n"
        "with locked_for_training(Path(sys.argv[1])):\n    print('locked', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", holding, str(tmp_path)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        with (
            pytest.raises(RunError, match="is being trained by another process") as caught,
            locked_for_training(tmp_path),
        ):
            pass
        assert caught.value.found == f"process {first.pid}"
        first.kill()
    # The system released the lock of the killed process.
    with locked_for_training(tmp_path):
        assert (tmp_path / "training.pid").read_text() == f"{os.getpid()}\n"
    assert not list(tmp_path.iterdir())
