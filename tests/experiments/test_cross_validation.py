"""Cross-validation: out-of-fold predictions, calibration, resumption and errors."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.stats import binom

import saccade
from saccade.cli.main import cli
from saccade.errors import DataError, RunError, TrainingError
from saccade.experiments.cross_validation import cross_validate
from saccade.inference.onnx_model import load_inference_onnx
from saccade.inference.predictor import Predictor
from saccade.inference.selective_prediction import fit_abstention
from saccade.recipes import get_recipe
from saccade.runs.predictions import VALIDATION_PREDICTIONS
from saccade.training import repeated_training
from saccade.training.calibration import fit_temperature
from saccade.training.train import train

FOLDS = 3
RECIPE = get_recipe("folder").with_epochs(4).with_settings({"batch_size": 30, "seed": 4})


@pytest.fixture(scope="module")
def trained():
    """Return the list that records the directory of each training."""
    return []


@pytest.fixture(scope="module")
def run(dataset, trained, tmp_path_factory):
    """Return a cross-validated run whose first call was interrupted before the third training."""
    out, stops = tmp_path_factory.mktemp("folds") / "run", [KeyboardInterrupt]

    def recorded(*arguments, out, **options):
        if len(trained) == 2 and stops:
            raise stops.pop()
        trained.append(out.name)
        return train(*arguments, out=out, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeated_training, "train", recorded)
        with pytest.raises(KeyboardInterrupt):
            validated(dataset, out)
        return validated(dataset, out)


def validated(dataset, out, folds=FOLDS, recipe=RECIPE):
    return cross_validate(dataset, folds, recipe=recipe, out=out, progress=False)


def contents(run, *names):
    return [(run.path / name).read_bytes() for name in names]


def hashes_of(predictions):
    return [bytes(row).hex() for row in predictions.hashes]


def test_every_image_but_those_of_the_test_split_is_predicted_once(run, dataset):
    predictions, record = run.predictions(VALIDATION_PREDICTIONS), run.folds()
    assert hashes_of(predictions) == list(dataset.splits["train"].hashes)
    assert predictions.labels.tolist() == dataset.splits["train"].labels.tolist()
    correct = predictions.probabilities.argmax(axis=1) == predictions.labels
    assert record.accuracy == correct.mean() > 0.5
    assert [fold.num_images for fold in record.folds] == [40, 40, 40]
    assert sum(fold.num_correct for fold in record.folds) == correct.sum()
    assert record.interval[0] < record.accuracy < record.interval[1]
    assert not (run.path.parent / "run-folds").exists()


@pytest.mark.long
def test_the_last_network_equals_that_of_a_training_on_all_images(run, dataset, tmp_path):
    alone = saccade.train(
        dataset, recipe=RECIPE, settings={"validation_split": 0}, out=tmp_path / "run", progress=False
    )
    assert contents(alone, "weights.safetensors") == contents(run, "weights.safetensors")
    assert run.data.num_images == {"train": 120, "validation": 0, "test": 60}


def test_the_temperature_is_fitted_on_the_out_of_fold_predictions(run, dataset):
    calibration, predictions = run.calibration(), run.predictions(VALIDATION_PREDICTIONS)
    assert calibration.out_of_fold
    assert calibration.num_images == 120
    # The stored probabilities are calibrated already: another temperature does not improve them.
    assert fit_temperature(predictions.labels, predictions.probabilities).temperature == pytest.approx(1, abs=0.02)
    images = dataset.splits["train"].take(slice(0, 20))
    saved = keras.models.load_model(run.path / "model.keras").predict(images, verbose=0)
    np.testing.assert_allclose(saved, Predictor.from_run(run).probabilities(images), atol=1e-5)
    onnx = load_inference_onnx(run)
    assert onnx is not None
    np.testing.assert_allclose(onnx.probabilities(images), saved, atol=1e-5)
    abstention = fit_abstention(run, 0.5)
    assert abstention.num_images == 120
    assert abstention.bound <= 0.5


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Return noise images with random labels, each with one duplicate, which a network can only memorize."""
    folder, draw = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for number in range(60):
        class_folder = folder / f"{'train' if number < 48 else 'test'}/{'heads' if number % 2 else 'tails'}"
        class_folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(draw.integers(0, 256, (32, 32, 3), np.uint8))
        for copy in ("a", "b"):
            image.save(class_folder / f"{number}{copy}.png")
    return saccade.load(folder)


@pytest.mark.long
def test_the_out_of_fold_accuracy_of_memorized_noise_is_chance(noise, tmp_path):
    recipe = get_recipe("folder").with_epochs(25).with_settings({"batch_size": 8})
    run = validated(noise, tmp_path / "run", 2, recipe)
    assert run.history()[-1].accuracy > 0.95
    # 48 different images: the probability that chance is outside these bounds is one in 10,000.
    fewest, most = binom.ppf([5e-5, 1 - 5e-5], 48, 0.5) / 48
    assert fewest <= run.folds().accuracy <= most
    predictions = run.predictions(VALIDATION_PREDICTIONS)
    assert len(predictions.labels) == 96
    assert len(set(hashes_of(predictions))) == 48


def test_the_same_call_resumes_an_interrupted_cross_validation(run, trained):
    assert trained == ["1", "2", "3", "run"]


def saccade_output(*arguments):
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result


def train_again(run, tiny_folder, *arguments):
    """Run the command of the finished cross-validation, which trains nothing."""
    options = [
        "--recipe",
        "folder",
        "--epochs",
        4,
        "--batch-size",
        30,
        "--seed",
        4,
        "--folds",
        FOLDS,
        "--out",
        run.path,
    ]
    return saccade_output("train", tiny_folder, *options, *arguments).stdout


def test_the_command_reports_the_accuracy_out_of_fold(run, tiny_folder):
    output, record = train_again(run, tiny_folder), run.folds()
    assert f"out-of-fold accuracy {record.accuracy:.2%} (95% interval " in output
    assert "n = 120, 3 folds of " in output
    assert output.splitlines()[-1] == f"next: saccade evaluate {run.path}"
    result = json.loads(train_again(run, tiny_folder, "--json"))
    assert result["run"] == str(run.path)
    assert result["num_validation_images"] == 0
    assert result["folds"] == json.loads((run.path / "folds.json").read_text())


def test_later_commands_name_the_out_of_fold_images(run, tiny_folder):
    output = saccade_output("evaluate", run.path).stdout
    assert "fitted on 120 out-of-fold images)" in output
    assert "cross-validated    out-of-fold accuracy " in output
    abstaining = saccade_output("predict", run.path, f"{tiny_folder}:test:0", "--abstain", "0.2")
    assert "of 120 out-of-fold images " in abstaining.stderr
    saccade_output("report", run.path)
    assert "Cross-validated: out-of-fold accuracy " in (run.path / "README.md").read_text()
    assert "with out-of-fold predictions: " in (run.path / "report.html").read_text()


def test_a_finished_cross_validation_is_not_trained_again(run, dataset, monkeypatch):
    monkeypatch.setattr(repeated_training, "train", None)
    assert validated(dataset, run.path).path == run.path
    with pytest.raises(RunError, match="of another training") as caught:
        validated(dataset, run.path, recipe=RECIPE.with_settings({"seed": 5}))
    assert caught.value.found == "seed = 4, not 5"


def test_another_cross_validation_in_the_directory_is_an_error(dataset, tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(repeated_training, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(dataset, FOLDS, recipe=RECIPE, out=tmp_path / "run")
    assert f"repeat the command with --out {tmp_path / 'run'}" in capsys.readouterr().err
    with pytest.raises(RunError, match="begun for something else") as caught:
        validated(dataset, tmp_path / "run", 4, RECIPE.with_settings({"batch_size": 60}))
    assert (
        caught.value.found
        == "batch_size = 30, not 60; cross-validation with 3 folds, not cross-validation with 4 folds"
    )


def test_an_existing_run_without_cross_validation_is_an_error(dataset, tiny_run):
    with pytest.raises(RunError, match="nothing is overwritten"):
        validated(dataset, tiny_run.path)


@pytest.mark.parametrize("settings", [{"keep": "best"}, {"patience": 2}])
def test_a_recipe_that_chooses_its_epoch_is_an_error(dataset, tmp_path, settings):
    with pytest.raises(TrainingError, match="best epoch can't be chosen"):
        validated(dataset, tmp_path / "run", recipe=RECIPE.with_settings(settings))
    assert not any(tmp_path.iterdir())


def test_too_many_or_too_few_folds_are_an_error(dataset, noise, tmp_path):
    for folds in (1, 21):
        with pytest.raises(DataError, match=f"into {folds} folds"):
            validated(dataset, tmp_path / "run", folds)
    few = noise.splits["train"].subset(np.arange(6))
    with pytest.raises(DataError, match="too few images for 4 folds") as caught:
        validated(replace(noise, splits=noise.splits | {"train": few}), tmp_path / "run", 4)
    assert caught.value.found == "3"
    assert not any(tmp_path.iterdir())


def test_a_damaged_record_is_an_error(run, tmp_path):
    copy = shutil.copytree(run.path, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    record = json.loads((copy / "folds.json").read_text())
    for change in ({"accuracy": 1.5}, {"folds": record["folds"][:2]}, {"more": 1}):
        (copy / "folds.json").write_text(json.dumps(record | change))
        with pytest.raises(RunError, match=r"folds\.json' is damaged"):
            saccade.Run.open(copy).folds()


@pytest.mark.nightly
def test_validation_images_of_the_data_become_training_images(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "data")
    for image in sorted((folder / "train").glob("*/0*.png")):
        own = folder / "validation" / image.parent.name
        own.mkdir(parents=True, exist_ok=True)
        image.rename(own / image.name)
    dataset = saccade.load(folder)
    run = validated(dataset, tmp_path / "run", 2, RECIPE.with_epochs(1))
    assert run.folds().num_images == 120
    assert set(hashes_of(run.predictions(VALIDATION_PREDICTIONS))) == {
        *dataset.splits["train"].hashes, *dataset.splits["validation"].hashes
    }  # fmt: skip
    assert saccade.evaluate(run, split="train").n == 120
    with pytest.raises(saccade.SaccadeError, match="no validation images"):
        saccade.evaluate(run, split="validation")
