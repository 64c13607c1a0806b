"""Recipe `linear-probe`: a linear head on cached features, trained on photographs of clothing."""

import shutil
from typing import Any

import numpy as np
import pytest
from PIL import Image

import saccade
from saccade.data.cache.disk_cache import cache_entries
from saccade.inference.predictor import Predictor
from saccade.runs.predictions import VALIDATION_PREDICTIONS
from saccade.runs.run_split import load_run_split
from saccade.training.transfer_learning import features


@pytest.fixture(scope="module")
def run(photographs, tmp_path_factory):
    return saccade.train(
        photographs, recipe="linear-probe", out=tmp_path_factory.mktemp("photo") / "run", progress=False
    )


def copied(photographs, folder, **counts):
    """Copy some photographs of each class into a folder."""
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for path in sorted((photographs / label).iterdir())[:count]:
            shutil.copy(path, folder / label)
    return folder


def test_a_linear_probe_classifies_photographs(run):
    assert (run.recipe, run.status().state) == (saccade.get_recipe("linear-probe"), "finished")
    assert run.source().name == "EfficientNetLite0"
    # All of 12 correct. Random predictions have 9 of 12 correct with a probability of 1 in 250.
    assert saccade.evaluate(run).accuracy > 0.7


def test_the_body_keeps_its_weights(run):
    from saccade.models.pretrained.imagenet import imagenet_weights

    weights, source = run.weights(), imagenet_weights()
    same = [name for name, weight in weights.items() if name in source and np.array_equal(weight, source[name])]
    assert {name.partition("/")[0] for name in weights.keys() - set(same)} == {"classes"}


def test_a_second_training_computes_no_features_and_has_the_same_bytes(run, photographs, tmp_path, monkeypatch):
    before = {entry.path for entry in cache_entries() if entry.kind == "features"}

    def fail(*_arguments):
        raise AssertionError("features were computed")

    monkeypatch.setattr(features, "resize_to_network", fail)
    again = saccade.train(photographs, recipe="linear-probe", out=tmp_path / "run", progress=False)
    for name in ("weights.safetensors", "history.csv", "calibration.json", "features.json", "ood.safetensors"):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes(), name
    assert {entry.path for entry in cache_entries() if entry.kind == "features"} == before


@pytest.mark.parametrize("tta_views", [1, pytest.param(6, marks=pytest.mark.nightly)])
def test_the_calibrated_predictions_are_those_of_the_saved_model(run, photographs, tmp_path, tta_views):
    if tta_views > 1:
        run = saccade.train(
            photographs, recipe="linear-probe", out=tmp_path / "run", settings={"tta_views": tta_views}, progress=False
        )
    kept = run.predictions(VALIDATION_PREDICTIONS)
    found = Predictor.from_run(run).probabilities_of(load_run_split(run, "validation").splits["validation"])
    np.testing.assert_allclose(kept.probabilities, found, atol=1e-4)


@pytest.mark.long
def test_class_weights_change_the_head(photographs, tmp_path):
    """How class weights act on a given penalty is tested in test_linear_head.py; here each run chooses its penalty."""
    data = copied(photographs, tmp_path / "unbalanced", hat=20, pants=20, shoes=5)
    kernels = []
    choices: tuple[dict[str, Any], ...] = ({}, {"class_weights": True}, {"sampling": "balanced"})
    for number, settings in enumerate(choices):
        out = tmp_path / f"run-{number}"
        run = saccade.train(data, recipe="linear-probe", out=out, settings=settings, progress=False)
        kernels.append(run.weights()["classes/kernel"])
    assert np.abs(kernels[1] - kernels[0]).max() > 1e-3
    np.testing.assert_array_equal(kernels[2], kernels[1])  # rare classes count more in either way


@pytest.mark.long
def test_two_classes_of_ten_images_of_any_shape_are_enough(photographs, tmp_path, capfd):
    data = copied(photographs, tmp_path / "few", hat=9, shoes=10)
    Image.effect_noise((3000, 20), 40).convert("RGB").save(data / "hat" / "wide.jpg")
    run = saccade.train(data, recipe="linear-probe", out=tmp_path / "run", progress=False)
    assert sum(run.data.num_images.values()) == 20
    result = saccade.evaluate(run)
    low, high = result.metrics.accuracy_interval
    assert 0 <= low < result.accuracy <= high <= 1
    assert high - low > 0.3  # few images are worth little
    (wide,) = saccade.predict(run, str(data / "hat" / "wide.jpg"))
    assert wide.top[0].class_name in ("hat", "shoes")
