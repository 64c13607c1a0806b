"""`saccade benchmark`: measurements and errors."""

from click.testing import CliRunner

from saccade.cli.main import cli
from saccade.errors import ExportError


def benchmark(run, *arguments):
    return CliRunner().invoke(cli, ["benchmark", str(run.path), *arguments])


def test_the_table_of_formats_and_the_reason_for_a_missing_format(tiny_run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = benchmark(tiny_run, "--format", "onnx", "--format", "litert")
    assert result.exit_code == 1
    header, row = result.stdout.splitlines()[0], result.stdout.splitlines()[-1]
    assert "one image, ms" in header
    assert row.startswith("onnx")
    assert "not measured: litert: the format 'litert' needs the package ai-edge-litert" in result.stderr


def test_an_unknown_format(tiny_run):
    result = benchmark(tiny_run, "--format", "pickle")
    assert isinstance(result.exception, ExportError)
