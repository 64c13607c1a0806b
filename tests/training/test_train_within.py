import signal
import subprocess
import sys

import numpy as np
import pytest

import saccade
from saccade.errors import TrainingError
from saccade.inference.onnx_model import load_inference_onnx
from saccade.inference.predictor import Predictor
from saccade.runs.run import Run
from saccade.runs.time_budget_state import FeaturePlan, Plan

SMALLER = {"image_size": 224, "initial_scale": 160 / 224, "final_scale": 160 / 224, "horizontal_flip": False}
# A training within minutes by a recipe, whose process is killed after a number of images of a stage or of a pass.
KILLED = """
import os, signal, sys
from contextlib import contextmanager
import saccade
from saccade.keras_loading import this_process_is_our_own
from saccade.training.progress import Progress

class Killing(Progress):
    @contextmanager
    def on_stage(self, label, *, total, unit):
        self.left = int(sys.argv[4]) if label == sys.argv[5] else 10**9
        yield self

    def on_epoch_begin(self, epoch, images, seen):
        self.left = int(sys.argv[4]) if f"epoch {epoch}" == sys.argv[5] else 10**9

    def update(self, n):
        self.left -= n
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_batch_end(self, n, loss, accuracy):
        self.update(n)

this_process_is_our_own()
settings = {"checkpoint_seconds": 0}
saccade.train_within(sys.argv[1], 60, recipe=sys.argv[3], settings=settings, out=sys.argv[2], progress=Killing())
"""
BYTES = ("weights.safetensors", "history.csv", "ood.safetensors")


def killed(data, out, recipe, images, where):
    """Start a training that is killed."""
    command = [sys.executable, "-c", KILLED, data, out, recipe, str(images), where]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.long
def test_the_plan_of_a_training_within_minutes_is_printed_and_keeps_the_users_settings(tiny_folder, tmp_path, capfd):
    settings = {"validation_split": 0.0, "seed": 3, "batch_size": 40}
    run = saccade.train_within(tiny_folder, 0.5, recipe="folder", settings=settings, out=tmp_path / "run")
    output = capfd.readouterr().err
    plan = run.plan()
    assert isinstance(plan, Plan)
    assert plan.minutes == 0.5
    assert output.index("plan: recipe folder") < output.index("epoch 1:")
    assert all(line in output for line in plan.reasons)
    assert run.status().state == "finished"
    assert run.recipe == saccade.get_recipe("folder").with_settings(settings)
    assert plan.costs.pixel > 0
    assert plan.costs.saving > plan.costs.closing > 0
    # 120 images in three steps per pass, and no step after the planned end.
    steps = sum(record.steps for record in run.history())
    assert plan.pace.end <= 40 * steps < plan.pace.end + 40
    assert saccade.Run.open(run.path).plan() == plan
    assert load_inference_onnx(run) is not None


def test_too_few_minutes_are_an_error_and_no_run_is_created(tiny_folder, tmp_path):
    with pytest.raises(TrainingError, match=r"0\.01 minutes are too few") as caught:
        saccade.train_within(tiny_folder, 0.01, recipe="folder", out=tmp_path / "run", progress=False)
    assert "at least 0." in str(caught.value.expected)
    assert not (tmp_path / "run").exists()
    with pytest.raises(TrainingError, match="positive number of minutes"):
        saccade.train_within(tiny_folder, float("nan"), out=tmp_path / "run", progress=False)


@pytest.mark.long
def test_a_linear_probe_is_whole_where_there_is_time(photo_folder, tmp_path, capfd):
    run = saccade.train_within(photo_folder, 60, recipe="linear-probe", settings={"seed": 3}, out=tmp_path / "run")
    output = capfd.readouterr().err
    plan = run.plan()
    assert isinstance(plan, FeaturePlan)
    assert plan.minutes == 60
    assert output.index("plan: recipe linear-probe, 54 training images at 160x160 pixels, with their mirror images") < (
        output.index("epoch 1:")
    )
    assert "this recipe needs no more time: the training ends early, after " in plan.reasons[-1]
    assert run.recipe == saccade.get_recipe("linear-probe").with_settings({"seed": 3})
    assert run.status().state == "finished"
    assert saccade.Run.open(run.path).plan() == plan
    assert saccade.evaluate(run).accuracy > 0.8


@pytest.fixture(scope="module")
def finetuned(photo_folder, tmp_path_factory):
    """A training of photographs within an hour, which is more than it needs."""
    settings = {"checkpoint_seconds": 0}
    out = tmp_path_factory.mktemp("runs") / "run"
    return saccade.train_within(photo_folder, 60, recipe="photo", settings=settings, out=out, progress=False)


@pytest.mark.long
def test_photographs_are_finetuned_where_there_is_time(finetuned):
    plan, history = finetuned.plan(), finetuned.history()
    assert isinstance(plan, Plan)
    assert plan.reasons[0].startswith("plan: recipe photo, 54 training images at 160x160 pixels, 4 augmented versions")
    assert "ends early" in plan.reasons[-1]
    assert plan.replans == ()
    assert [record.phase for record in history] == ["head", *["augmented"] * 40]
    assert history[-1].learning_rate < history[2].learning_rate
    assert finetuned.status().state == "finished"
    assert saccade.evaluate(finetuned).accuracy > 0.8


@pytest.mark.long
@pytest.mark.parametrize(("images", "where"), [(30, "outputs"), (20, "epoch 3")])
def test_a_killed_fine_tuning_within_minutes_keeps_its_plan_and_comes_to_the_same_bytes(
    photo_folder, finetuned, tmp_path, images, where
):
    killed(photo_folder, tmp_path / "killed", "photo", images, where)
    resumed = saccade.resume(tmp_path / "killed", progress=False)
    plan = resumed.plan()
    assert isinstance(plan, Plan)
    assert (plan.first, plan.replans) == (finetuned.plan().first, ())
    for name in BYTES:
        assert (resumed.path / name).read_bytes() == (finetuned.path / name).read_bytes()


@pytest.mark.long
def test_too_few_minutes_for_photographs_are_an_error_and_no_run_is_created(photo_folder, tmp_path):
    with pytest.raises(TrainingError, match=r"0\.01 minutes are too few") as caught:
        saccade.train_within(photo_folder, 0.01, out=tmp_path / "run", progress=False)
    assert str(caught.value.expected).startswith("at least ")
    assert not (tmp_path / "run").exists()


def test_a_fine_tuning_without_kept_outputs_has_no_time_budget(photo_folder, tmp_path):
    recipe = saccade.get_recipe("transfer").with_settings({"network": "EfficientNetLite0", "image_size": 64})
    with pytest.raises(TrainingError, match="on kept outputs of its frozen layers only"):
        saccade.train_within(photo_folder, 5, recipe=recipe, out=tmp_path / "run", progress=False)


@pytest.mark.long
def test_a_killed_linear_probe_resumes_to_the_same_weights(photo_folder, probe_run, tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))  # without features
    killed(photo_folder, tmp_path / "killed", "linear-probe", 20, "features")
    plan = Run.open(tmp_path / "killed").plan()
    assert plan is not None
    resumed = saccade.resume(tmp_path / "killed", progress=False)
    assert resumed.plan() == plan
    assert resumed.recipe == probe_run.recipe.with_settings({"checkpoint_seconds": 0})
    for name in BYTES:
        assert (resumed.path / name).read_bytes() == (probe_run.path / name).read_bytes()


@pytest.mark.long
def test_photographs_that_the_network_sees_smaller_are_predicted_alike_by_keras_and_onnx(photo_folder, tmp_path):
    run = saccade.train(photo_folder, recipe="linear-probe", settings=SMALLER, out=tmp_path / "run", progress=False)
    assert saccade.evaluate(run).accuracy > 0.8
    images = saccade.load(photo_folder, image_size=224).splits["test"].take(slice(0, 8))
    light = load_inference_onnx(run)
    assert light is not None
    by_keras = Predictor.from_run(run).probabilities(images)
    np.testing.assert_allclose(light.probabilities(images), by_keras, atol=1e-3)
