import json
import re
import statistics

import pytest
from click.testing import CliRunner

from saccade.cli.main import cli


def train(folder, *arguments):
    return CliRunner().invoke(cli, ["train", str(folder), "--recipe", "folder", "--epochs", "1", *map(str, arguments)])


@pytest.fixture(scope="module")
def trained(tiny_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "runs"
    return out, train(tiny_folder, "--seeds", 2, "--out", out)


def test_each_seed_and_the_mean_are_reported(trained):
    out, result = trained
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    found = re.findall(r"^seed (\d): validation accuracy ([\d.]+)%, (.*)$", result.stdout, flags=re.MULTILINE)
    assert [(seed, path) for seed, _, path in found] == [(str(seed), str(out / f"seed-{seed}")) for seed in (0, 1)]
    accuracies = [float(accuracy) for _, accuracy, _ in found]
    mean, deviation = statistics.fmean(accuracies), statistics.stdev(accuracies)
    match = re.match(r"validation accuracy ([\d.]+)% ± ([\d.]+) points \(standard deviation\), n = 2 seeds", lines[2])
    assert match
    assert [float(match[1]), float(match[2])] == pytest.approx([mean, deviation], abs=0.01)
    assert lines[3] == f"next: saccade compare {out / 'seed-0'} {out / 'seed-1'} OTHER-RUN"


def test_json_is_the_only_output_on_stdout(trained, tiny_folder):
    out, _ = trained
    result = train(tiny_folder, "--seeds", 2, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [run["seed"] for run in found["runs"]] == [0, 1]
    assert found["n"] == 2
    assert found["validation_accuracy"] == pytest.approx(
        statistics.fmean(run["validation_accuracy"] for run in found["runs"])
    )
    assert found["failed"] == []


@pytest.mark.long
def test_without_a_folder_the_runs_are_numbered(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = train(tiny_folder, "--seeds", 2, "--seed", 7)
    assert result.exit_code == 0, result.output
    seeds = [json.loads((tmp_path / f"runs/tiny-folder-{n}/recipe.json").read_text())["seed"] for n in (1, 2)]
    assert seeds == [7, 8]


@pytest.mark.long
def test_a_failure_is_reported_with_exit_code_1(tiny_folder, trained, tmp_path):
    out = tmp_path / "runs"
    (out / "seed-0").mkdir(parents=True)
    (out / "seed-0" / "in-the-way").write_text("")
    result = train(tiny_folder, "--seeds", 2, "--out", out)
    assert result.exit_code == 1
    assert "seed 0: failed: " in result.stdout
    assert "seed 1: validation accuracy" in result.stdout
    assert "repeat the command" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["--seeds", "0"], ["--seeds", "2", "--resume", "RUN"], ["--seeds", 2, "--summary"]]
)
def test_a_wrong_command_line_has_exit_code_2(arguments, tmp_path):
    assert train(tmp_path, *arguments).exit_code == 2
