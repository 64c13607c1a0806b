import json

import pytest
from click.testing import CliRunner

from saccade.cli.main import cli
from saccade.errors import EvaluationError, RunError


def evaluate(run, *arguments):
    return CliRunner().invoke(cli, ["evaluate", str(run.path), *map(str, arguments)])


def test_lines_for_people(tiny_run):
    result = evaluate(tiny_run)
    assert result.exit_code == 0, result.output
    report = json.loads((tiny_run.path / "report.json").read_text())
    lines = result.stdout.splitlines()
    assert lines[0] == "tiny, test split: 60 pictures scored, each once"
    low, high = report["accuracy_interval"]
    (accuracy,) = [line for line in lines if line.startswith("accuracy")]
    assert f"{report['accuracy']:.2%}  (95% interval {low:.2%} to {high:.2%}, n = 60)" in accuracy
    for name in ("balanced accuracy", "top-3 accuracy", "log-loss", "calibration error", "null", "(macro average)"):
        assert any(line.startswith(name) for line in lines), name
    for name in ("report.json", "confusion_matrix.png", "predictions.png"):
        assert f"  {tiny_run.path.resolve() / name}" in lines


def test_json_and_nothing_else(tiny_run):
    result = evaluate(tiny_run, "--split", "validation", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["split"] == "validation"
    assert report == json.loads((tiny_run.path / "report-validation.json").read_text())


def test_refused_pictures_are_named(tiny_run, tiny_folder, tmp_path):
    import shutil

    data = shutil.copytree(tiny_folder, tmp_path / "with-a-broken-one")
    (data / "test" / "two" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    result = evaluate(tiny_run, "--data", data)
    assert result.exit_code == 0, result.output
    assert "60 of 61 pictures scored" in result.stdout
    assert "n = 60 of 61" in result.stdout
    assert "  test/two/broken.jpg: " in result.stdout


def test_wrong_splits_classes_and_runs(tiny_run, tmp_path):
    assert evaluate(tiny_run, "--split", "tset").exit_code == 2
    assert isinstance(evaluate(tiny_run, "--data", "digits").exception, EvaluationError)
    assert isinstance(CliRunner().invoke(cli, ["evaluate", str(tmp_path)]).exception, RunError)


@pytest.mark.parametrize("arguments", [["evaluate"], ["export"], ["export", "run"]])
def test_what_is_missing_on_the_command_line_is_said(arguments):
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "Missing" in result.stderr
