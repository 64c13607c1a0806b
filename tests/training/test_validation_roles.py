"""Validation images that choose the weights are not used for temperature, thresholds and OOD p-value."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import saccade
from saccade.cli.main import cli
from saccade.cli.training_result import validation_notes
from saccade.inference.predictor import Predictor
from saccade.runs.predictions import VALIDATION_PREDICTIONS
from saccade.runs.run_split import load_run_split
from saccade.training.calibration import at_temperature
from saccade.training.progress import Progress

SETTINGS = {"batch_size": 20, "image_size": 8, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def digits():
    """Digits of 8x8 pixels, with 240 training images."""
    dataset = saccade.load("digits", image_size=8)
    return replace(dataset, splits={**dataset.splits, "train": dataset.splits["train"].subset(np.arange(240))})


def train(data, out, progress=False, **settings):
    return saccade.train(data, recipe="folder", epochs=3, settings=SETTINGS | settings, out=out, progress=progress)


@pytest.fixture(scope="module")
def halved(digits, tmp_path_factory):
    """A run whose weights were chosen by validation images, enough to be divided into halves."""
    return train(digits, tmp_path_factory.mktemp("halved") / "run", keep="best", validation_split=0.5)


def validation_of(run, dataset):
    """Return the validation images, and a mask of those whose predictions the run keeps."""
    validation = {content for content, split in run.split_of().items() if split == "validation"}
    train = dataset.splits["train"]
    images = train.subset(np.flatnonzero([content in validation for content in train.hashes]))
    kept = {row.tobytes().hex() for row in run.predictions(VALIDATION_PREDICTIONS).hashes}
    return images, np.array([content in kept for content in images.hashes])


def test_images_that_choose_the_weights_are_not_those_that_calibrate(halved, digits):
    images, calibrating = validation_of(halved, digits)
    assert len(images) == halved.data.num_images["validation"] > 100
    assert abs(calibrating.sum() - len(images) / 2) < 2
    calibration = halved.calibration()
    assert calibration.num_images == calibrating.sum()
    assert len(halved.ood_statistics()["distances"]) == calibrating.sum()
    # The accuracy that chose the weights is measured on the other images.
    selecting = images.subset(np.flatnonzero(~calibrating))
    predictions = Predictor.from_run(halved).probabilities_of(selecting).argmax(axis=1)
    history = [record.validation_accuracy for record in halved.history()]
    assert (predictions == selecting.labels).mean() == pytest.approx(max(history))


def test_the_run_reports_the_numbers_of_selecting_and_calibrating_images(halved, tmp_path, digits):
    calibration, whole = halved.calibration(), halved.data.num_images["validation"]
    assert calibration.selection == "other images"
    assert calibration.num_selection_images == whole - calibration.num_images
    assert calibration.fitted_on == "59 validation images (59 others chose the weights)"
    assert halved.status().num_validation_images == whole - calibration.num_images
    saccade.evaluate(halved)
    report = CliRunner().invoke(cli, ["report", str(halved.path)])
    assert report.exit_code == 0, report.output
    assert calibration.fitted_on in (halved.path / "README.md").read_text()
    assert calibration.fitted_on in (halved.path / "report.html").read_text()
    typed = ["train", "digits", "--recipe", "folder", "--epochs", "2", "--set", "keep=best", "--set", "image_size=8"]
    result = CliRunner().invoke(cli, [*typed, "--out", str(tmp_path / "cli"), "--json"])
    found = json.loads(result.stdout)
    whole = saccade.Run.open(tmp_path / "cli").data.num_images["validation"]
    assert found["num_validation_images"] == whole - whole // 2
    assert found["num_calibration_images"] == whole // 2
    words = "\n".join(validation_notes(halved))
    assert "the 118 validation images were divided into two halves: 59 chose the weights" in words
    assert "the other 59 calibrate" in words
    assert "these same images" not in words


@pytest.mark.parametrize(
    ("images", "setting"),
    [
        (40, "keep=best"),
        pytest.param(240, "keep=best", marks=pytest.mark.long),
        pytest.param(240, "patience=2", marks=pytest.mark.long),
    ],
)
def test_a_single_epoch_leaves_validation_images_nothing_to_choose(digits, tmp_path, images, setting):
    key, value = setting.split("=")
    data = replace(digits, splits={**digits.splits, "train": digits.splits["train"].subset(np.arange(images))})
    settings = SETTINGS | {"validation_split": 0.5, key: value}
    run = saccade.train(data, recipe="folder", epochs=1, settings=settings, out=tmp_path / "run", progress=False)
    calibration = run.calibration()
    assert calibration is not None
    assert calibration.fitted_on == f"{run.data.num_images['validation']} validation images"
    assert run.num_validation_images == calibration.num_images
    assert list(validation_notes(run)) == []
    assert not any("chose the weights" in note for note in load_run_split(run, "validation", data="digits").notes)


@pytest.mark.long
def test_the_head_of_a_transfer_with_one_epoch_is_the_only_choice(digits, halved, tmp_path):
    settings = SETTINGS | {"validation_split": 0.5}
    run = saccade.transfer(digits, halved, epochs=1, settings=settings, out=tmp_path / "run", progress=False)
    (first, *_) = validation_notes(run)
    assert "59 chose the penalty of the head and measure this accuracy" in first


def test_without_selection_all_validation_images_calibrate(digits, tmp_path):
    run = train(digits, tmp_path / "run", validation_split=0.5)
    images, calibrating = validation_of(run, digits)
    assert calibrating.all()
    assert run.calibration().selection == "none"
    assert run.calibration().fitted_on == f"{len(images)} validation images"


class PredictionLog(Progress):
    """Predictions for the training split after each epoch."""

    def __init__(self, dataset):
        self.dataset, self.predictions = dataset, []

    def on_train_begin(self, run, network):
        self.network = network

    def on_epoch_end(self, record, seconds):
        images = self.dataset.splits["train"].take(slice(None))
        self.predictions.append(self.network.predict(images, verbose=0))


def test_few_validation_images_are_predicted_by_weights_that_the_other_half_chose(digits, tmp_path):
    """Each half of the validation images chooses an epoch; predictions come from the epoch of the other half."""
    log = PredictionLog(digits)
    run = train(digits, tmp_path / "run", log, keep="best", validation_split=0.2)
    calibration, predictions = run.calibration(), run.predictions(VALIDATION_PREDICTIONS)
    assert calibration.selection == "cross-fitted"
    assert calibration.num_images == calibration.num_selection_images == len(predictions.labels) < 100
    assert calibration.fitted_on.endswith("(each half predicted with weights that the other half chose)")

    from saccade.data.splits import second_half

    images, _ = validation_of(run, digits)
    rows = [digits.splits["train"].hashes.index(content) for content in images.hashes]
    predicted = np.stack(log.predictions)[:, rows]  # [epochs, n, classes]
    np.testing.assert_array_equal(images.labels, predictions.labels)
    second = second_half(images)
    assert abs(second.sum() - len(second) / 2) < 2
    for choosing in (second, ~second):
        correct = predicted.argmax(axis=2)[:, choosing] == images.labels[choosing]
        losses = -np.log(predicted[:, choosing][:, np.arange(choosing.sum()), images.labels[choosing]]).mean(axis=1)
        epoch = max(range(3), key=lambda number: (correct[number].mean(), -losses[number]))
        expected = at_temperature(predicted[epoch, ~choosing], calibration.temperature)
        np.testing.assert_allclose(predictions.probabilities[~choosing], expected, atol=1e-4)
