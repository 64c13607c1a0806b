from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from saccade.cli.main import cli
from saccade.errors import ExportError
from saccade.inference.predictor import Predictor


def export(run, *arguments):
    return CliRunner().invoke(cli, ["export", str(run.path), *map(str, arguments)])


@pytest.mark.long
def test_the_printed_code_opens_the_model(tiny_run, tmp_path):
    out = tmp_path / "model.weights.h5"
    result = export(tiny_run, "--format", "weights", "--out", out)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    files = [out, tmp_path / "model.json", tmp_path / "model.weights.h5-info"]
    assert lines[:3] == [f"written: {path}" for path in files]
    assert lines[3].startswith("size: 0.")
    images, _ = tiny_run.validation_images()
    assert f"on {len(images)} validation images: largest difference" in lines[4]

    names: dict[str, Any] = {}
    exec("\n".join(line.strip() for line in lines[-3:-1]), names)  # as a user would paste it
    predictions = names["model"].predict(images, verbose=0)
    assert np.abs(predictions - Predictor.from_run(tiny_run).probabilities(images)).max() <= 1e-5


def test_wrong_formats_and_output_paths_are_errors(tiny_run, tmp_path):
    assert "'pickle' is not one of" in export(tiny_run, "--format", "pickle").stderr
    assert isinstance(export(tiny_run, "--format", "h5", "--out", tmp_path / "a.txt").exception, ExportError)
