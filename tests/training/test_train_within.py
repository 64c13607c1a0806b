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
# A training within minutes whose process is killed after a number of features.
KILLED = """
import os, signal, sys
from contextlib import contextmanager
import saccade
from saccade.keras_loading import this_process_is_our_own
from saccade.training.progress import Progress

class Killing(Progress):
    @contextmanager
    def on_stage(self, label, *, total, unit):
        self.left = int(sys.argv[3])
        yield self

    def update(self, n):
        self.left -= n
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

this_process_is_our_own()
saccade.train_within(sys.argv[1], 60, out=sys.argv[2], progress=Killing())
"""


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


def test_photographs_get_the_whole_recipe_where_there_is_time(photo_folder, tmp_path, capfd):
    run = saccade.train_within(photo_folder, 60, settings={"seed": 3}, out=tmp_path / "run")
    output = capfd.readouterr().err
    plan = run.plan()
    assert isinstance(plan, FeaturePlan)
    assert plan.minutes == 60
    assert output.index("plan: recipe photo, 54 training images at 160x160 pixels, with their mirror images") < (
        output.index("epoch 1:")
    )
    assert "this recipe needs no more time: the training ends early, after " in plan.reasons[-1]
    assert run.recipe == saccade.get_recipe("photo").with_settings({"seed": 3})
    assert run.status().state == "finished"
    assert saccade.Run.open(run.path).plan() == plan
    assert saccade.evaluate(run).accuracy > 0.8


def test_too_few_minutes_for_photographs_are_an_error_and_no_run_is_created(photo_folder, tmp_path):
    with pytest.raises(TrainingError, match=r"0\.01 minutes are too few") as caught:
        saccade.train_within(photo_folder, 0.01, out=tmp_path / "run", progress=False)
    assert str(caught.value.expected).startswith("at least ")
    assert not (tmp_path / "run").exists()


def test_fine_tuning_within_minutes_is_an_error(photo_folder, tmp_path):
    recipe = saccade.get_recipe("transfer").with_settings({"network": "EfficientNetLite0", "image_size": 64})
    with pytest.raises(TrainingError, match="can't be fine-tuned within a time budget"):
        saccade.train_within(photo_folder, 5, recipe=recipe, out=tmp_path / "run", progress=False)


def test_a_killed_training_on_photographs_resumes_to_the_same_weights(photo_folder, photo_run, tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))  # without features
    command = [sys.executable, "-c", KILLED, photo_folder, tmp_path / "killed", "20"]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    plan = Run.open(tmp_path / "killed").plan()
    assert plan is not None
    resumed = saccade.resume(tmp_path / "killed", progress=False)
    assert resumed.plan() == plan
    assert resumed.recipe == photo_run.recipe
    for name in ("weights.safetensors", "history.csv", "ood.safetensors"):
        assert (resumed.path / name).read_bytes() == (photo_run.path / name).read_bytes()


def test_photographs_that_the_network_sees_smaller_are_predicted_alike_by_keras_and_onnx(photo_folder, tmp_path):
    run = saccade.train(photo_folder, settings=SMALLER, out=tmp_path / "run", progress=False)
    assert saccade.evaluate(run).accuracy > 0.8
    images = saccade.load(photo_folder, image_size=224).splits["test"].take(slice(0, 8))
    light = load_inference_onnx(run)
    assert light is not None
    by_keras = Predictor.from_run(run).probabilities(images)
    np.testing.assert_allclose(light.probabilities(images), by_keras, atol=1e-3)
