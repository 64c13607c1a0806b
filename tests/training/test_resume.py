import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import saccade
from saccade.errors import RunError
from saccade.inference.onnx_model import load_inference_onnx
from saccade.runs.predictions import VALIDATION_PREDICTIONS
from saccade.runs.run import Run
from saccade.training.step import TrainingStep

KILLABLE = Path(__file__).with_name("killable_training.py")
# 108 training images in nine steps an epoch, a checkpoint after each.
SETTINGS = {"batch_size": 12, "checkpoint_seconds": 0}
EPOCHS = 25


class CrashError(Exception):
    pass


def state_of(run):
    """The state that would be gone on from."""
    latest = run.checkpoints.latest()
    assert latest.checkpoint is not None
    assert not latest.damaged
    return latest.checkpoint.state


def result_of(run):
    """What must be the same to the byte: weights, history, kept answers, and the state that would be gone on from."""
    (last,) = sorted((run.path / "checkpoints").iterdir())[-1:]
    state = json.loads((last / "state.json").read_text())
    del state["timings"]  # clock times
    files = [run.path / name for name in ("weights.safetensors", "history.csv", VALIDATION_PREDICTIONS)]
    files += [last / f"{part}.safetensors" for part in ("network", "optimizer")]
    return [path.read_bytes() for path in files] + [last.name, state]


def trained(data, out, recipe, **settings):
    return saccade.train(data, recipe=recipe, out=out, settings=SETTINGS | settings, progress=False)


def crashed_at(step, monkeypatch, data, out, recipe, **settings):
    """A training that ends as it begins a step, counted from 1 over all epochs, without a chance to save."""
    done, real = [0], TrainingStep.__call__

    def crashing(self, *arguments):
        done[0] += 1
        if done[0] == step:
            raise CrashError
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", crashing)
        with pytest.raises(CrashError):
            trained(data, out, recipe, **settings)


CASES: dict[str, tuple[dict[str, Any], int]] = {
    # Dropout, batch normalization and Adam, across the border of its two phases.
    "two-phase": ({"plain_epochs": 1, "augmented_epochs": 1}, 12),
    # Muon, and images that grow; at the eleventh step the stem has stopped learning.
    "fast": ({"augmented_epochs": 2, "min_steps_per_epoch": 0}, 11),
    # The best weights so far come from an epoch before the crash.
    "folder": ({"plain_epochs": 4, "keep": "best", "patience": 2, "learning_rate": 0.003}, 25),
}


@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=[pytest.mark.nightly] * (name != "folder")) for name in CASES]
)
def test_a_training_that_crashed_comes_to_the_same_bytes(tiny_folder, tmp_path, monkeypatch, recipe):
    settings, step = CASES[recipe]
    whole = trained(tiny_folder, tmp_path / "whole", recipe, **settings)
    crashed_at(step, monkeypatch, tiny_folder, tmp_path / "crashed", recipe, **settings)
    crashed = Run.open(tmp_path / "crashed")
    assert crashed.status().state == "running"
    at = state_of(crashed)
    assert at.step == step - 1
    assert at.seen > 0
    resumed = saccade.resume(crashed, progress=False)
    assert result_of(resumed) == result_of(whole)
    ended = resumed.status().model_dump(exclude={"peak_memory_mb"})
    assert ended == whole.status().model_dump(exclude={"peak_memory_mb"})
    assert load_inference_onnx(resumed) is not None


def test_a_crash_before_the_first_checkpoint_starts_again_and_reports_it(tiny_folder, tmp_path, monkeypatch, capfd):
    whole = trained(tiny_folder, tmp_path / "whole", "folder", plain_epochs=1)
    crashed_at(5, monkeypatch, tiny_folder, tmp_path / "crashed", "folder", plain_epochs=1, checkpoint_seconds=3600)
    resumed = saccade.resume(tmp_path / "crashed")
    assert "there is no checkpoint yet: training from the beginning" in capfd.readouterr().err
    assert result_of(resumed) == result_of(whole)


def test_damaged_checkpoints_are_named_and_the_one_before_is_taken(tiny_folder, tmp_path, monkeypatch, capfd):
    whole = trained(tiny_folder, tmp_path / "whole", "folder", plain_epochs=1)
    crashed_at(7, monkeypatch, tiny_folder, tmp_path / "crashed", "folder", plain_epochs=1)
    _, newer = sorted((tmp_path / "crashed" / "checkpoints").iterdir())
    (newer / "network.safetensors").write_bytes(b"\0" * 100)
    resumed = saccade.resume(tmp_path / "crashed")
    output = capfd.readouterr().err
    assert "the checkpoint step-00000006 is damaged and left out: network.safetensors has 100 bytes" in output
    assert "going on from the checkpoint of step 5: epoch 1, 60 of its images seen" in output
    assert result_of(resumed) == result_of(whole)


def test_if_all_are_damaged_only_force_begins_again(tiny_folder, tmp_path, monkeypatch, capfd):
    crashed_at(4, monkeypatch, tiny_folder, tmp_path / "crashed", "folder", plain_epochs=1)
    for path in (tmp_path / "crashed" / "checkpoints").iterdir():
        (path / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"all checkpoints of .* are damaged") as caught:
        saccade.resume(tmp_path / "crashed", progress=False)
    assert "step-00000003" in str(caught.value.found)
    resumed = saccade.resume(tmp_path / "crashed", force=True)
    assert "step-00000003 is damaged and left out" in capfd.readouterr().err
    assert result_of(resumed) == result_of(trained(tiny_folder, tmp_path / "whole", "folder", plain_epochs=1))


def test_what_has_ended_is_not_gone_on_with(tiny_run):
    with pytest.raises(RunError, match="is finished") as caught:
        saccade.resume(tiny_run)
    assert "--extend" in str(caught.value.remedy)


def test_other_data_or_versions_are_named_and_need_force(tiny_folder, tmp_path, monkeypatch, capfd):
    crashed_at(4, monkeypatch, tiny_folder, tmp_path / "crashed", "folder", plain_epochs=1)
    path = tmp_path / "crashed" / "environment.json"
    record = json.loads(path.read_text())
    record["packages"]["numpy"] = "1.0"
    record["cores"] = 99
    path.write_text(json.dumps(record))
    with pytest.raises(RunError, match="would not come to the same bits") as caught:
        saccade.resume(tmp_path / "crashed", progress=False)
    assert "numpy: 1.0 then" in str(caught.value.found)
    assert "cores: 99 then" in str(caught.value.found)
    assert saccade.resume(tmp_path / "crashed", force=True).status().state == "finished"
    assert "warning: numpy: 1.0 then" in capfd.readouterr().err


def test_data_that_changed_is_refused(tiny_folder, tmp_path, monkeypatch):
    data = shutil.copytree(tiny_folder, tmp_path / "data")
    crashed_at(4, monkeypatch, data, tmp_path / "crashed", "folder", plain_epochs=1)
    next((data / "train" / "one").iterdir()).unlink()
    with pytest.raises(RunError, match="would not come to the same bits") as caught:
        saccade.resume(tmp_path / "crashed", progress=False)
    assert "holds other images than it did" in str(caught.value.found)
    # Named where it is now, the same data is the same.
    assert saccade.resume(tmp_path / "crashed", tiny_folder, progress=False).status().state == "finished"


def test_a_training_goes_on_without_its_log(tiny_folder, tmp_path, monkeypatch, capfd):
    real = Run.write_history

    def failing(self, records, timings):
        if len(records) == 1:
            raise OSError(28, "No space left on device")
        real(self, records, timings)

    monkeypatch.setattr(Run, "write_history", failing)
    run = saccade.train(tiny_folder, recipe="folder", epochs=2, out=tmp_path / "run")
    assert "warning: history.csv can't be written: No space left on device" in capfd.readouterr().err
    assert [record.epoch for record in run.history()] == [1, 2]


# By number: up to 7 at random, 8 while a checkpoint or the history is saved, 9 while the weights are, or the drawing.
@pytest.mark.parametrize(
    ("epochs", "chains", "numbers", "least_mid_epoch"),
    [
        pytest.param(6, 1, (0, 8), 1, id="2"),
        pytest.param(EPOCHS, 10, tuple(range(10)), 80, id="100", marks=pytest.mark.nightly),
    ],
)
def test_kills_at_random_and_at_save_points_come_to_the_same_bytes(
    tiny_folder, tmp_path, epochs, chains, numbers, least_mid_epoch
):
    """Kills of one training, each gone on from in another process; at night of ten trainings, and ten of each."""
    whole = trained(tiny_folder, tmp_path / "whole", "scheduled", plain_epochs=0, augmented_epochs=epochs)
    kills = []
    for seed in range(chains):
        kills += killed(tiny_folder, tmp_path / f"killed-{seed}", seed, numbers, epochs)
        assert result_of(Run.open(tmp_path / f"killed-{seed}")) == result_of(whole)
    # For docs/reliability.md; shown by `make test-nightly`.
    sys.stdout.write(json.dumps(Counter(kill["at"] for kill in kills), indent=1))
    assert len(kills) == len(numbers) * chains
    assert sum(kill["mid_epoch"] for kill in kills) >= least_mid_epoch


def killed(data, out, seed, numbers, epochs):
    """Trains in one process after another, each of which is killed, and ends in this one; tells of each kill."""
    records: list[dict[str, Any]] = []
    for number in numbers:
        result = in_a_process(data, out, f"kill:{seed}:{number}", epochs)
        assert result.returncode == -signal.SIGKILL, result.stderr
        records.append({"at": result.stderr.splitlines()[-1], "mid_epoch": state_of(Run.open(out)).seen > 0})
    saccade.resume(out, progress=False)
    return records


@pytest.mark.nightly
@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_file_size_limits_and_read_only_folders_lose_nothing(tiny_folder, tmp_path):
    """Five trainings of ten processes, each of which is kept from writing at some moment; then one that is not."""
    whole = trained(tiny_folder, tmp_path / "whole", "scheduled", plain_epochs=0, augmented_epochs=EPOCHS)
    for seed in range(5):
        out, steps = tmp_path / f"limited-{seed}", 0
        for number in range(10):
            result = in_a_process(tiny_folder, out, f"limit:{seed}:{number}")
            assert result.returncode == 1, result.stderr
            assert "RunError" in result.stderr
            out.chmod(0o755)
            (out / "checkpoints").chmod(0o755)
            before, steps = steps, state_of(Run.open(out)).step
            assert steps > before or number == 9
        assert in_a_process(tiny_folder, out, "-").returncode == 0
        assert result_of(Run.open(out)) == result_of(whole)


def in_a_process(data, out, end, epochs=EPOCHS):
    program = [sys.executable, str(KILLABLE), str(data), str(out), "scheduled", str(epochs), end]
    # Root could write into a folder that is read-only.
    without = ["setpriv", "--bounding-set", "-dac_override"] if end.startswith("limit") and os.geteuid() == 0 else []
    return subprocess.run([*without, *program], capture_output=True, text=True, check=False)
