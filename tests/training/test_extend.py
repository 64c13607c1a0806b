import pytest

import saccade
from saccade.errors import RecipeError, RunError
from saccade.inference.onnx_model import load_inference_onnx
from saccade.recipes import get_recipe
from saccade.runs.run import Run

SETTINGS = {"batch_size": 12}


def trained(data, out, recipe, **settings):
    return saccade.train(data, recipe=recipe, out=out, settings=SETTINGS | settings, progress=False)


@pytest.mark.long
def test_with_a_constant_rate_an_extended_training_equals_a_longer_one(tiny_folder, tmp_path):
    # Dropout, batch normalization and both phases, as in `two-phase`, in a network that compiles faster.
    long = trained(tiny_folder, tmp_path / "long", "scheduled", plain_epochs=1, augmented_epochs=3)
    short = trained(tiny_folder, tmp_path / "short", "scheduled", plain_epochs=1, augmented_epochs=1)
    before = {path.name: path.read_bytes() for path in short.path.iterdir() if path.is_file()}
    longer = saccade.extend(short, 2, out=tmp_path / "longer", progress=False)
    for name in ("weights.safetensors", "history.csv"):
        assert (longer.path / name).read_bytes() == (long.path / name).read_bytes()
    assert (longer.recipe.plain_epochs, longer.recipe.augmented_epochs) == (1, 3)
    assert {path.name: path.read_bytes() for path in short.path.iterdir() if path.is_file()} == before
    parent = longer.parent()
    assert parent is not None
    assert (parent.path, parent.epochs, parent.step) == (str(short.path.resolve()), 2, 18)
    assert short.parent() is None
    assert saccade.evaluate(longer).n == 60
    assert load_inference_onnx(longer) is not None


@pytest.mark.nightly
def test_fast_is_extended_at_its_final_size_and_by_its_last_rate(tiny_folder, tmp_path):
    run = trained(tiny_folder, tmp_path / "run", "fast", augmented_epochs=2, min_steps_per_epoch=0)
    more = saccade.extend(run, 2, schedule="anneal", out=tmp_path / "more", progress=False)
    rates = [record.learning_rate for record in more.history()]
    assert rates[2] == pytest.approx(rates[1])
    assert rates[3] == pytest.approx(rates[1] / 2)
    assert more.recipe.training_size(2, 32, 32) == more.recipe.final_size(32, 32)
    again = saccade.extend(more, 1, schedule="restart", out=tmp_path / "again", progress=False)
    assert again.history()[4].learning_rate == pytest.approx(rates[0])
    assert [record.epoch for record in again.history()] == [1, 2, 3, 4, 5]


@pytest.mark.long
def test_an_extension_that_was_killed_is_resumed(tiny_folder, tmp_path, monkeypatch):
    run = trained(tiny_folder, tmp_path / "run", "folder", plain_epochs=1)
    whole = saccade.extend(run, 1, out=tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch:
        patch.setattr("saccade.training.fit._record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            saccade.extend(run, 1, out=tmp_path / "killed", progress=False)
    resumed = saccade.resume(tmp_path / "killed", progress=False)
    for name in ("weights.safetensors", "history.csv"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()


@pytest.mark.parametrize(
    ("schedule", "rates"), [("hold", [0.25, 0.25]), ("anneal", [0.25, 0.125]), ("restart", [1.0, 0.5])]
)
def test_the_learning_rate_of_an_extension_after_a_linear_schedule(schedule, rates):
    recipe = get_recipe("fast").with_settings({"learning_rate": 1, "initial_scale": 1, "final_scale": 1}).with_epochs(4)
    longer = recipe.extended(4, 2, schedule)
    assert [longer.learning_rate_at(epoch) for epoch in (4, 5)] == pytest.approx(rates)
    # A smaller batch scales each rate.
    assert longer.learning_rate_at(4, 0, recipe.batch_size // 4) == pytest.approx(rates[0] / 2)


def test_extending_a_run_that_has_not_ended_or_lost_its_checkpoint_is_an_error(tiny_folder, tmp_path):
    run = trained(tiny_folder, tmp_path / "run", "folder", plain_epochs=1)
    with pytest.raises(RecipeError, match="at least one epoch"):
        saccade.extend(run, 0, out=tmp_path / "none", progress=False)
    with pytest.raises(RunError, match="exists already"):
        saccade.extend(run, 1, out=run.path, progress=False)
    (checkpoint,) = (run.path / "checkpoints").iterdir()
    (checkpoint / "optimizer.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match="its last checkpoint is damaged"):
        saccade.extend(run, 1, out=tmp_path / "more", progress=False)
    assert not (tmp_path / "more").exists()
    run.write_status(run.status().model_copy(update={"state": "interrupted"}))
    with pytest.raises(RunError, match="has not ended: it is interrupted"):
        saccade.extend(Run.open(run.path), 1, progress=False)
