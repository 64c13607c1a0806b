import pytest

import saccade
from saccade.errors import TrainingError
from saccade.inference.onnx_model import load_inference_onnx


def test_the_plan_of_a_training_within_minutes_is_printed_and_keeps_the_users_settings(tiny_folder, tmp_path, capfd):
    settings = {"validation_split": 0.0, "seed": 3, "batch_size": 40}
    run = saccade.train_within(tiny_folder, 0.5, recipe="folder", settings=settings, out=tmp_path / "run")
    output = capfd.readouterr().err
    plan = run.plan()
    assert plan is not None
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
