import json
import shutil

import pytest
from click.testing import CliRunner

from saccade.cli.main import cli


@pytest.fixture
def runs(tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [str(shutil.copytree(tiny_run.path, tmp_path / name)) for name in "ab"]


def test_lines_for_people(runs):
    result = CliRunner().invoke(cli, ["compare", *runs])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "tiny, test split: 60 pictures answered by all"
    assert any(line.startswith("a and b are not distinguishable: the same accuracy") for line in lines)
    assert "a and b answer 0 pictures differently" in lines
    assert lines[-1].endswith("comparisons/1/differences.png")


def test_json_and_nothing_else(runs, tmp_path):
    result = CliRunner().invoke(cli, ["compare", *runs, "--out", "here", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == json.loads((tmp_path / "here" / "comparison.json").read_text())
    assert told["pairs"][0]["verdict"] == "not distinguishable"


def test_a_single_run_is_a_wrong_command_line(runs):
    result = CliRunner().invoke(cli, ["compare", runs[0]])
    assert result.exit_code == 2
    assert "at least two runs" in result.stderr
