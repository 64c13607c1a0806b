"""OOD p-values with ONNX Runtime: those of TensorFlow, in `predict` without TensorFlow, and in a server."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tests.deploy.server.serving import serving

import saccade
from saccade.inference.onnx_model import load_inference_onnx
from saccade.inference.predictor import Predictor
from saccade.models.ood_statistics import OodStatistics
from saccade.runs.run import Run

_REPEATS = 4


@pytest.fixture(scope="module")
def marking_run(probe_run, tmp_path_factory):
    """Copy of a run of photographs, with its ranks repeated: with so few of them, no image could be marked."""
    run = Run.open(shutil.copytree(probe_run.path, tmp_path_factory.mktemp("marking") / "run"))
    arrays = run.ood_statistics() or {}
    ranks = {name: np.repeat(arrays[name], _REPEATS) for name in ("distances", "doubts", "surprises")}
    run.write_ood_statistics(arrays | ranks)
    return run


@pytest.fixture(scope="module")
def images(photo_folder, tmp_path_factory):
    """Test photographs, and noise."""
    folder = tmp_path_factory.mktemp("images")
    for file in sorted((photo_folder / "test").rglob("*.jpg")):
        shutil.copy(file, folder / f"{file.parent.name}-{file.name}")
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    return folder


@pytest.fixture(scope="module")
def p_values(marking_run, images):
    return {one.name: one.ood_p_value for one in saccade.predict(marking_run, images, ood=True)}


def test_the_features_of_both_runtimes_agree(marking_run):
    pixels = np.random.default_rng(1).integers(0, 256, (3, *_size(marking_run), 3)).astype(np.uint8)
    predictor, model = Predictor.from_run(marking_run), load_inference_onnx(marking_run)
    assert model is not None
    probabilities, features = model.probabilities_and_features(pixels)
    np.testing.assert_allclose(probabilities, predictor.probabilities(pixels), atol=1e-5)
    expected = OodStatistics(predictor.model, marking_run.recipe.network)(pixels)
    np.testing.assert_allclose(features, expected, atol=1e-4 * expected.max())


def _size(run):
    return run.preprocessing.height, run.preprocessing.width


def test_predict_needs_no_tensorflow_and_has_its_p_values(marking_run, images, p_values, tmp_path):
    program = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from saccade.cli.main import main
sys.argv = ["saccade", "predict", *sys.argv[1:], "--ood", "--json"]
main()
"""
    command = [sys.executable, "-c", program, marking_run.path, images]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {one["name"]: one["ood_p_value"] for one in json.loads(done.stdout)} == pytest.approx(p_values)
    with_tensorflow = Run.open(shutil.copytree(marking_run.path, tmp_path / "run"))
    (with_tensorflow.path / "model.onnx").unlink()
    expected = saccade.predict(with_tensorflow, images, ood=True)
    rank = _REPEATS / (marking_run.calibration().num_images * _REPEATS + 1)
    assert p_values == pytest.approx({one.name: one.ood_p_value for one in expected}, abs=rank + 1e-9)
    assert p_values[str(images / "noise.png")] < 0.05


def test_a_server_marks_images_unlike_the_training_images(marking_run, images, p_values):
    with serving(marking_run.path) as server:
        predictions = saccade.Client(server.url).predict([images])
        noise = server.json("POST", "/api/models/run/image", (images / "noise.png").read_bytes())
    assert {one.name: one.ood_p_value for one in predictions} == pytest.approx(p_values, abs=1e-6)
    assert {one.name for one in predictions if one.is_ood} == {name for name, value in p_values.items() if value < 0.05}
    assert noise["is_ood"] is True
    assert noise["ood_p_value"] == pytest.approx(p_values[str(images / "noise.png")])


def test_a_report_shows_the_test_images_unlike_the_training_images(marking_run, photo_folder, tmp_path):
    run = Run.open(shutil.copytree(marking_run.path, tmp_path / "run"))
    page = saccade.report(run).page.read_text()
    names = sorted(str(path.relative_to(photo_folder)) for path in (photo_folder / "test").rglob("*.jpg"))
    marked = {
        name: one.ood_p_value
        for name, one in zip(
            names, saccade.predict(run, [photo_folder / name for name in names], ood=True), strict=True
        )
        if one.is_ood
    }
    section = page.split('<h2 id="unlike">')[1].split("<h2")[0]
    assert f"{len(marked)} test image" in section
    assert section.count("OOD p-value") == min(len(marked), 12)
    for name in marked:
        assert name in section
