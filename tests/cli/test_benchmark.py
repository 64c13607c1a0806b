"""`saccade benchmark`: figures of each format, and nothing left."""

import json

from click.testing import CliRunner

from saccade.cli.main import cli
from saccade.errors import ExportError


def benchmark(run, *arguments):
    return CliRunner().invoke(cli, ["benchmark", str(run.path), *arguments])


def test_each_format_is_measured_and_nothing_is_kept(tiny_run):
    before = sorted(tiny_run.path.iterdir())
    result = benchmark(tiny_run, "--format", "onnx", "--format", "keras", "--json")
    assert result.exit_code == 0, result.output
    onnx, keras = json.loads(result.stdout)["formats"]
    assert (onnx["format"], keras["format"]) == ("onnx", "keras")
    for figures in (onnx, keras):
        assert figures["size_bytes"] > sum(weight.nbytes for weight in tiny_run.weights().values())
        assert figures["pictures"] == len(tiny_run.validation_pictures()[1])
        assert 0 <= figures["right"] <= figures["pictures"]
        assert figures["same_class"] == 1
        assert figures["cold_start_seconds"] > figures["one_picture_ms"] / 1000 > 0
        assert figures["pictures_per_second"] > 0
    assert onnx["right"] == keras["right"]
    assert onnx["memory_mb"] < keras["memory_mb"]
    assert sorted(tiny_run.path.iterdir()) == before


def test_a_table_for_people_and_reasons_for_what_is_missing(tiny_run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = benchmark(tiny_run, "--format", "onnx", "--format", "litert")
    assert result.exit_code == 1
    header, row = result.stdout.splitlines()[0], result.stdout.splitlines()[-1]
    assert "one picture, ms" in header
    assert row.startswith("onnx")
    assert "not measured: litert: the format 'litert' needs the package ai-edge-litert" in result.stderr


def test_an_unknown_format(tiny_run):
    result = benchmark(tiny_run, "--format", "pickle")
    assert isinstance(result.exception, ExportError)
