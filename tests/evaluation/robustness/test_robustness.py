"""Robustness of a small run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import saccade
from saccade.cli.main import cli
from saccade.evaluation.robustness import robustness as module
from saccade.evaluation.robustness.corruptions import CORRUPTIONS
from saccade.evaluation.robustness.robustness import measure_robustness
from saccade.evaluation.wilson_interval import wilson_interval
from saccade.inference.predictor import Predictor


@pytest.fixture
def run(tiny_run, tmp_path):
    path = shutil.copytree(tiny_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("report*", "predictions*"))
    return saccade.Run.open(path)


def test_accuracies_are_those_of_the_predictions_for_corrupted_images(run, tiny_folder, monkeypatch):
    test = saccade.load(tiny_folder).splits["test"]
    predictor = Predictor.from_run(run)
    # The size of the chunks does not divide the 60 images.
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 25 * 32 * 32)
    found = measure_robustness(run)
    assert (found.n, found.data_name, found.split) == (60, "tiny", "test")
    assert found.accuracy == saccade.evaluate(run).accuracy
    assert [corrupted.name for corrupted in found.corruptions] == [corruption.name for corruption in CORRUPTIONS]
    for corrupted, corruption in zip(found.corruptions, CORRUPTIONS, strict=True):
        for strength in (1, 4):
            images = corruption(test.take(slice(None)), strength, test.rows)
            correct = int((predictor.probabilities(images).argmax(axis=1) == test.labels).sum())
            assert corrupted.accuracies[strength - 1] == correct / 60
            assert corrupted.intervals[strength - 1] == wilson_interval(correct, 60)
    accuracies = np.array([corrupted.accuracies for corrupted in found.corruptions])
    assert accuracies.shape == (7, 5)
    assert found.mean == pytest.approx(accuracies.mean())
    assert accuracies.min() < found.accuracy


def test_robustness_json_is_the_printed_json_and_fixes_are_applied(run, tiny_folder, tmp_path):
    (tmp_path / "fixes.csv").write_text("path,split,action,class\ntrain/one/03.png,train,relabel,two\n")
    fingerprint = saccade.load(tiny_folder, fixes=tmp_path / "fixes.csv").fingerprint
    options = ["--corruptions", "--split", "validation", "--fixes", str(tmp_path / "fixes.csv"), "--json"]
    result = CliRunner().invoke(cli, ["evaluate", str(run.path), *options])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    files = [Path(file) for file in found["files"]]
    mark = f"-validation-tiny-{fingerprint[:8]}"
    assert [path.name for path in files] == [f"robustness{mark}.json", f"robustness{mark}.png"]
    assert "fixes applied: 0 images dropped, 1 relabeled" in found["notes"]
    assert json.loads(files[0].read_text()) == found
    with Image.open(files[1]) as plot:
        assert plot.format == "PNG"
    assert not list(run.path.glob("report*"))


def test_the_command_line_prints_a_table(run):
    result = CliRunner().invoke(cli, ["evaluate", str(run.path), "--corruptions"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    written = json.loads((run.path / "robustness.json").read_text())
    assert f"mean over all corruptions           {written['mean_corrupted_accuracy']:.2%}" in lines
    for name, corrupted in written["corruptions"].items():
        row = next(line for line in lines if line.startswith(f"{name} "))
        assert row.split()[1:] == [f"{x:.1%}" for x in (*corrupted["accuracies"], corrupted["mean_accuracy"])]
    assert f"  {run.path.resolve() / 'robustness.png'}" in lines
    result = CliRunner().invoke(cli, ["evaluate", str(run.path), "--corruptions", "--json"])
    assert json.loads(result.stdout) == written
