import numpy as np
import pytest

import saccade
from saccade.cli.main import cli
from saccade.errors import RunError
from saccade.runs.run import Run
from saccade.training.resume import resume

FIXES = "path,split,action,class\ntrain/null/00.png,train,drop,\ntrain/one/01.png,train,relabel,two\n"


@pytest.fixture(scope="module")
def fixes(tmp_path_factory):
    path = tmp_path_factory.mktemp("audit") / "fixes.csv"
    path.write_text(FIXES)
    return path


@pytest.fixture(scope="module")
def fixed_run(tiny_folder, fixes, tmp_path_factory):
    from click.testing import CliRunner

    out = tmp_path_factory.mktemp("runs") / "fixed"
    arguments = ["train", str(tiny_folder), "--recipe", "folder", "--epochs", "2", "--out", str(out)]
    result = CliRunner().invoke(cli, [*arguments, "--fixes", str(fixes)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Run.open(out)


def test_the_run_records_the_applied_fixes(fixed_run, tiny_folder, fixes):
    data = saccade.load(tiny_folder)
    assert (fixed_run.path / "fixes.csv").read_text() == FIXES
    assert "fixes applied: 1 image dropped, 1 relabeled" in fixed_run.data.notes
    assert fixed_run.data.num_images["train"] + fixed_run.data.num_images["validation"] == 119
    assert fixed_run.data_fingerprint == saccade.load(tiny_folder, fixes=fixes).fingerprint != data.fingerprint


def test_evaluate_applies_the_runs_own_fixes(fixed_run):
    report = saccade.evaluate(fixed_run, split="train")
    assert report.n == fixed_run.data.num_images["train"]
    assert report.data_fingerprint == fixed_run.data_fingerprint


def test_evaluate_applies_other_fixes_if_they_are_given(fixed_run, tmp_path):
    (tmp_path / "fixes.csv").write_text("path,split,action,class\ntest/null/40.png,test,drop,\n")
    assert saccade.evaluate(fixed_run, fixes=tmp_path / "fixes.csv").n == 59


@pytest.mark.long
def test_a_training_with_fixes_is_resumed_with_the_runs_own_copy(tiny_folder, fixes, tmp_path, monkeypatch):
    from saccade.training.step import TrainingStep

    data, settings = saccade.load(tiny_folder, fixes=fixes), {"checkpoint_seconds": 0}
    whole = saccade.train(data, recipe="folder", epochs=2, out=tmp_path / "a", settings=settings, progress=False)
    real, done = TrainingStep.__call__, [0]

    def crashing(self, *arguments):
        done[0] += 1
        if done[0] == 6:
            raise KeyError("power cut")
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", crashing)
        with pytest.raises(KeyError, match="power cut"):
            saccade.train(data, recipe="folder", epochs=2, out=tmp_path / "b", settings=settings, progress=False)
    resumed = resume(tmp_path / "b", progress=False)
    for name, weights in whole.weights().items():
        np.testing.assert_array_equal(resumed.weights()[name], weights)


def test_a_resumed_training_needs_the_same_fixes(fixed_run, tmp_path):
    import shutil

    shutil.copytree(fixed_run.path, tmp_path / "run")
    (tmp_path / "run/fixes.csv").unlink()
    status = (tmp_path / "run/status.json").read_text().replace("finished", "interrupted")
    (tmp_path / "run/status.json").write_text(status)
    with pytest.raises(RunError, match="would give other bits"):
        resume(tmp_path / "run", progress=False)
