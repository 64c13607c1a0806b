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
# 108 training images, nine steps per epoch, a checkpoint after each step.
SETTINGS = {"batch_size": 12, "checkpoint_seconds": 0}
EPOCHS = 25


class CrashError(Exception):
    pass


def state_of(run):
    """Return the state of the latest checkpoint."""
    latest = run.checkpoints.latest()
    assert latest.checkpoint is not None
    assert not latest.damaged
    return latest.checkpoint.state


def result_of(run):
    """Return what must be equal to the byte: weights, history, predictions, and the latest checkpoint."""
    (last,) = sorted((run.path / "checkpoints").iterdir())[-1:]
    state = json.loads((last / "state.json").read_text())
    del state["timings"]  # clock times
    files = [run.path / name for name in ("weights.safetensors", "history.csv", VALIDATION_PREDICTIONS)]
    files += [last / f"{name}.safetensors" for name in ("network", "optimizer")]
    return [path.read_bytes() for path in files] + [last.name, state]


def trained(data, out, recipe, **settings):
    return saccade.train(data, recipe=recipe, out=out, settings=SETTINGS | settings, progress=False)


def crashed_at(step, monkeypatch, data, out, recipe, **settings):
    """Run a training that crashes at the beginning of a step, counted from 1 over all epochs, without saving."""
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
    # Dropout, batch normalization and Adam, with the crash in the second phase.
    "two-phase": ({"plain_epochs": 1, "augmented_epochs": 1}, 12),
    # Muon and growing images; at the eleventh step the stem is frozen.
    "fast": ({"augmented_epochs": 2, "min_steps_per_epoch": 0}, 11),
    # The best weights are those of an epoch before the crash.
    "folder": ({"plain_epochs": 4, "keep": "best", "patience": 2, "learning_rate": 0.003}, 25),
}


def test_a_crashed_streamed_training_is_resumed_to_the_bytes_of_one_from_the_cache(tiny_folder, tmp_path, monkeypatch):
    # The dtype is set, because the empty cache would measure it again, perhaps with another result.
    settings = {"plain_epochs": 2, "keep": "best", "image_size": 16, "compute": "float32"}
    whole = trained(tiny_folder, tmp_path / "whole", "folder", **settings)
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", "1KB")
    crashed_at(12, monkeypatch, tiny_folder, tmp_path / "crashed", "folder", **settings)
    streamed = saccade.resume(tmp_path / "crashed", progress=False)
    assert any("decoded when they are needed" in note for note in streamed.data.notes)
    assert result_of(streamed) == result_of(whole)


@pytest.mark.long
@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=[pytest.mark.nightly] * (name != "folder")) for name in CASES]
)
def test_a_crashed_training_is_resumed_to_the_same_bytes(tiny_folder, tmp_path, monkeypatch, recipe):
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


EVERY_AUGMENTATION = {
    "translate": 0.1, "rotation": 5, "crop_scale": 0.5, "vertical_flip": True, "color_jitter": 0.3,
    "trivial_augment": True, "random_erasing": 0.5, "mixup": 0.4, "cutmix": 1, "sampling": "balanced",
}  # fmt: skip


@pytest.mark.long
def test_a_crashed_training_with_every_augmentation_is_resumed_to_the_same_bytes(tiny_folder, tmp_path, monkeypatch):
    settings = {"plain_epochs": 0, "augmented_epochs": 2} | EVERY_AUGMENTATION
    whole = trained(tiny_folder, tmp_path / "whole", "folder", **settings)
    crashed_at(15, monkeypatch, tiny_folder, tmp_path / "crashed", "folder", **settings)
    crashed = Run.open(tmp_path / "crashed")
    assert state_of(crashed).seen == 5 * SETTINGS["batch_size"]
    assert result_of(saccade.resume(crashed, progress=False)) == result_of(whole)
    assert [record.phase for record in whole.history()] == ["augmented"] * 2


@pytest.mark.long
def test_a_crash_before_the_first_checkpoint_restarts_the_training(tiny_folder, tmp_path, monkeypatch, capfd):
    whole = trained(tiny_folder, tmp_path / "whole", "folder", plain_epochs=1)
    crashed_at(5, monkeypatch, tiny_folder, tmp_path / "crashed", "folder", plain_epochs=1, checkpoint_seconds=3600)
    resumed = saccade.resume(tmp_path / "crashed")
    assert "there is no checkpoint yet: training from the beginning" in capfd.readouterr().err
    assert result_of(resumed) == result_of(whole)


def test_damaged_checkpoints_are_reported_and_the_previous_one_is_used(tiny_folder, tmp_path, monkeypatch, capfd):
    whole = trained(tiny_folder, tmp_path / "whole", "folder", plain_epochs=1)
    crashed_at(7, monkeypatch, tiny_folder, tmp_path / "crashed", "folder", plain_epochs=1)
    _, newer = sorted((tmp_path / "crashed" / "checkpoints").iterdir())
    (newer / "network.safetensors").write_bytes(b"\0" * 100)
    resumed = saccade.resume(tmp_path / "crashed")
    output = capfd.readouterr().err
    assert "the checkpoint step-00000006 is damaged and skipped: network.safetensors has 100 bytes" in output
    assert "resuming from the checkpoint of step 5: epoch 1, 60 of its images seen" in output
    assert result_of(resumed) == result_of(whole)


@pytest.mark.long
def test_if_all_checkpoints_are_damaged_only_force_restarts_the_training(tiny_folder, tmp_path, monkeypatch, capfd):
    crashed_at(4, monkeypatch, tiny_folder, tmp_path / "crashed", "folder", plain_epochs=1)
    for path in (tmp_path / "crashed" / "checkpoints").iterdir():
        (path / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"all checkpoints of .* are damaged") as caught:
        saccade.resume(tmp_path / "crashed", progress=False)
    assert "step-00000003" in str(caught.value.found)
    resumed = saccade.resume(tmp_path / "crashed", force=True)
    assert "step-00000003 is damaged and skipped" in capfd.readouterr().err
    assert result_of(resumed) == result_of(trained(tiny_folder, tmp_path / "whole", "folder", plain_epochs=1))


def test_resuming_an_ended_training_is_an_error(tiny_run):
    with pytest.raises(RunError, match="is finished") as caught:
        saccade.resume(tiny_run)
    assert "--extend" in str(caught.value.remedy)


@pytest.mark.long
def test_other_versions_are_reported_and_need_force(tiny_folder, tmp_path, monkeypatch, capfd):
    crashed_at(4, monkeypatch, tiny_folder, tmp_path / "crashed", "folder", plain_epochs=1)
    path = tmp_path / "crashed" / "environment.json"
    record = json.loads(path.read_text())
    record["packages"]["numpy"] = "1.0"
    record["cores"] = 99
    other, value = ("Eigen", "0") if record["kernels"] == "oneDNN" else ("oneDNN", "1")
    record["kernels"] = other
    path.write_text(json.dumps(record))
    with pytest.raises(RunError, match="would give other bits") as caught:
        saccade.resume(tmp_path / "crashed", progress=False)
    assert "numpy: 1.0 then" in str(caught.value.found)
    assert "cores: 99 then" in str(caught.value.found)
    assert f"(TF_ENABLE_ONEDNN_OPTS={value} chooses {other})" in str(caught.value.found)
    assert saccade.resume(tmp_path / "crashed", force=True).status().state == "finished"
    assert "warning: numpy: 1.0 then" in capfd.readouterr().err


@pytest.mark.long
def test_resuming_with_changed_data_is_an_error(tiny_folder, tmp_path, monkeypatch):
    data = shutil.copytree(tiny_folder, tmp_path / "data")
    crashed_at(4, monkeypatch, data, tmp_path / "crashed", "folder", plain_epochs=1)
    next((data / "train" / "one").iterdir()).unlink()
    with pytest.raises(RunError, match="would give other bits") as caught:
        saccade.resume(tmp_path / "crashed", progress=False)
    assert "holds other images than it did" in str(caught.value.found)
    # The same data at another path is accepted.
    assert saccade.resume(tmp_path / "crashed", tiny_folder, progress=False).status().state == "finished"


def test_a_training_continues_if_history_csv_can_not_be_written(tiny_folder, tmp_path, monkeypatch, capfd):
    real = Run.write_history

    def failing(self, records, *others):
        if len(records) == 1:
            raise OSError(28, "No space left on device")
        real(self, records, *others)

    monkeypatch.setattr(Run, "write_history", failing)
    run = saccade.train(tiny_folder, recipe="folder", epochs=2, out=tmp_path / "run")
    assert "warning: history.csv can't be written: No space left on device" in capfd.readouterr().err
    assert [record.epoch for record in run.history()] == [1, 2]


# Kills 0 to 7 come at random, kill 8 while a checkpoint or the history is saved, kill 9 while the weights or the
# history plot are saved.
@pytest.mark.parametrize(
    ("epochs", "chains", "numbers", "min_mid_epoch"),
    [
        pytest.param(6, 1, (0, 8), 1, id="2", marks=pytest.mark.long),
        pytest.param(EPOCHS, 10, tuple(range(10)), 80, id="100", marks=pytest.mark.nightly),
    ],
)
def test_trainings_killed_at_random_and_while_saving_are_resumed_to_the_same_bytes(
    tiny_folder, tmp_path, epochs, chains, numbers, min_mid_epoch
):
    """One training with two kills, each resumed in another process; in the nightly tests ten trainings with ten."""
    whole = trained(tiny_folder, tmp_path / "whole", "scheduled", plain_epochs=0, augmented_epochs=epochs)
    kills = []
    for seed in range(chains):
        kills += killed(tiny_folder, tmp_path / f"killed-{seed}", seed, numbers, epochs)
        assert result_of(Run.open(tmp_path / f"killed-{seed}")) == result_of(whole)
    # For docs/reliability.md; shown by `make test-nightly`.
    sys.stdout.write(json.dumps(Counter(kill["at"] for kill in kills), indent=1))
    assert len(kills) == len(numbers) * chains
    assert sum(kill["mid_epoch"] for kill in kills) >= min_mid_epoch


def killed(data, out, seed, numbers, epochs):
    """Train in processes that are killed one after the other, end the training here, and return a record per kill."""
    records: list[dict[str, Any]] = []
    for number in numbers:
        result = in_a_process(data, out, f"kill:{seed}:{number}", epochs)
        assert result.returncode == -signal.SIGKILL, result.stderr
        records.append({"at": result.stderr.splitlines()[-1], "mid_epoch": state_of(Run.open(out)).seen > 0})
    saccade.resume(out, progress=False)
    return records


@pytest.mark.nightly
@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root can write everywhere")
def test_file_size_limits_and_read_only_folders_lose_nothing(tiny_folder, tmp_path):
    """Five trainings of ten processes whose writes fail at some time, each followed by a process without failures."""
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
    # Root could write into a read-only folder.
    unprivileged = (
        ["setpriv", "--bounding-set", "-dac_override"] if end.startswith("limit") and os.geteuid() == 0 else []
    )
    return subprocess.run([*unprivileged, *program], capture_output=True, text=True, check=False)
