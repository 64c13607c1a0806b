"""Trainings with several seeds: ended runs are kept, missing runs are trained, failures are reported."""

import json
import shutil

import pytest

import saccade
from saccade.errors import RunError, TrainingError
from saccade.training import repeated_training as module
from saccade.training import train as train_module
from saccade.training.seeds import train_seeds

SETTINGS = {"batch_size": 60, "seed": 4}


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("seeds") / "two"
    series(dataset, 2, out)
    return out


def series(dataset, count, out, **settings):
    merged = SETTINGS | settings
    return list(train_seeds(dataset, count, recipe="folder", out=out, epochs=1, settings=merged, progress=False))


def weights(run):
    return (run / "weights.safetensors").read_bytes()


def test_each_run_equals_a_single_training_with_its_seed(dataset, folder, tmp_path):
    alone = saccade.train(
        dataset, recipe="folder", out=tmp_path / "run", epochs=1, settings=SETTINGS | {"seed": 5}, progress=False
    )
    assert sorted(path.name for path in folder.iterdir()) == ["seed-4", "seed-5"]
    assert weights(alone.path) == weights(folder / "seed-5")
    assert weights(folder / "seed-4") != weights(folder / "seed-5")


def test_a_repeated_command_trains_only_the_missing_runs(dataset, folder, tmp_path, monkeypatch):
    out = shutil.copytree(folder, tmp_path / "out")
    trained = []
    monkeypatch.setattr(module, "train", lambda *_, recipe, **__: trained.append(recipe.seed))
    assert [training.was_there for training in series(dataset, 3, out)] == [True, True, False]
    assert trained == [6]


@pytest.mark.long
def test_a_killed_training_is_resumed(dataset, folder, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "finalize", killed)
        with pytest.raises(KeyboardInterrupt):
            series(dataset, 2, tmp_path / "out", checkpoint_seconds=0)
    assert not (tmp_path / "out" / "seed-4" / "weights.safetensors").exists()
    first, second = series(dataset, 2, tmp_path / "out", checkpoint_seconds=0)
    assert not first.was_there
    assert first.error is second.error is None
    for seed in ("seed-4", "seed-5"):
        assert weights(tmp_path / "out" / seed) == weights(folder / seed)


@pytest.mark.long
def test_after_a_failed_training_the_other_seeds_are_trained(dataset, tmp_path, monkeypatch):
    real = train_module.train

    def fails(*arguments, recipe, **options):
        if recipe.seed == 4:
            raise TrainingError("the training diverged")
        return real(*arguments, recipe=recipe, **options)

    monkeypatch.setattr(module, "train", fails)
    first, second = series(dataset, 2, tmp_path / "out")
    assert first.run is None
    assert str(first.error) == "the training diverged"
    assert saccade.evaluate(second.run).n == 60


def test_after_an_interrupted_training_no_more_seeds_are_trained(dataset, folder, tmp_path, monkeypatch):
    def interrupted(*_, recipe, out, **__):
        run = shutil.copytree(folder / "seed-4", out)
        status = json.loads((run / "status.json").read_text()) | {"state": "interrupted"}
        (run / "status.json").write_text(json.dumps(status))
        return saccade.Run.open(run)

    monkeypatch.setattr(module, "train", interrupted)
    assert [training.seed for training in series(dataset, 3, tmp_path / "out")] == [4]


def test_runs_of_another_training_are_an_error_and_unchanged(dataset, folder, tmp_path):
    before = weights(folder / "seed-4")
    with pytest.raises(RunError, match="is of another training") as caught:
        series(dataset, 2, folder, batch_size=30)
    assert caught.value.found == "batch_size = 60, not 30"
    with pytest.raises(RunError, match="is a run itself"):
        series(dataset, 2, folder / "seed-4")
    assert weights(folder / "seed-4") == before
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        series(dataset, 2, tmp_path / "file")
