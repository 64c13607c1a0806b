"""Validation images that choose the weights don't choose temperature, threshold and what is familiar."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import saccade
from saccade.cli.main import cli
from saccade.cli.train import validation_in_words
from saccade.inference.predictor import Predictor
from saccade.runs.predictions import VALIDATION_PREDICTIONS
from saccade.training.calibration import at_temperature
from saccade.training.progress import SilentProgress

SETTINGS = {"batch_size": 20, "image_size": 8, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def digits():
    """240 training digits of 8x8 pixels; a part of each class."""
    dataset = saccade.load("digits", image_size=8)
    return replace(dataset, splits={**dataset.splits, "train": dataset.splits["train"].subset(np.arange(240))})


def train(data, out, progress=False, **settings):
    return saccade.train(data, recipe="folder", epochs=3, settings=SETTINGS | settings, out=out, progress=progress)


@pytest.fixture(scope="module")
def halved(digits, tmp_path_factory):
    """A run whose weights were chosen by its validation images, which are enough to be halved."""
    return train(digits, tmp_path_factory.mktemp("halved") / "run", keep="best", validation_split=0.5)


def validation_of(run, dataset):
    """The validation images, and which of them the run keeps its answers to."""
    own = {content for content, part in run.split_of().items() if part == "validation"}
    train = dataset.splits["train"]
    images = train.subset(np.flatnonzero([content in own for content in train.hashes]))
    kept = {row.tobytes().hex() for row in run.predictions(VALIDATION_PREDICTIONS).hashes}
    return images, np.array([content in kept for content in images.hashes])


def test_images_that_choose_the_weights_are_not_those_that_calibrate(halved, digits):
    images, calibrating = validation_of(halved, digits)
    assert len(images) == halved.data.num_images["validation"] > 100
    assert abs(calibrating.sum() - len(images) / 2) < 2
    calibration = halved.calibration()
    assert calibration.num_images == calibrating.sum()
    assert len(halved.ood_statistics()["distances"]) == calibrating.sum()
    # The accuracy by which the weights were chosen is that of the others.
    chosen_by = images.subset(np.flatnonzero(~calibrating))
    predictions = Predictor.from_run(halved).probabilities_of(chosen_by).argmax(axis=1)
    history = [record.validation_accuracy for record in halved.history()]
    assert (predictions == chosen_by.labels).mean() == pytest.approx(max(history))


def test_the_run_says_how_many_images_chose_and_how_many_calibrated(halved, tmp_path, digits):
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
    typed = ["train", "digits", "--recipe", "folder", "--epochs", "1", "--set", "keep=best", "--set", "image_size=8"]
    result = CliRunner().invoke(cli, [*typed, "--out", str(tmp_path / "told"), "--json"])
    found = json.loads(result.stdout)
    whole = saccade.Run.open(tmp_path / "told").data.num_images["validation"]
    assert found["num_validation_images"] == whole - whole // 2
    assert found["num_calibration_images"] == whole // 2
    words = "\n".join(validation_in_words(halved))
    assert "the 118 validation images were divided into two halves: 59 chose the weights" in words
    assert "the other 59 calibrate" in words
    assert "these same images" not in words


def test_where_nothing_is_chosen_all_validation_images_calibrate(digits, tmp_path):
    run = train(digits, tmp_path / "run", validation_split=0.5)
    images, calibrating = validation_of(run, digits)
    assert calibrating.all()
    assert run.calibration().selection == "none"
    assert run.calibration().fitted_on == f"{len(images)} validation images"


class Watching(SilentProgress):
    """Keeps what the network says of some images after each epoch."""

    def __init__(self, dataset):
        self.dataset, self.predictions = dataset, []

    def on_train_begin(self, run, network):
        self.network = network

    def on_epoch_end(self, record, seconds):
        own = self.dataset.splits["train"]
        self.predictions.append(self.network.predict(own.take(slice(None)), verbose=0))


def test_few_images_are_predicted_by_weights_that_the_other_half_chose(digits, tmp_path):
    """Each half of the validation images chooses an epoch, and is answered as after the epoch of the other half."""
    watching = Watching(digits)
    run = train(digits, tmp_path / "run", watching, keep="best", validation_split=0.2)
    calibration, predictions = run.calibration(), run.predictions(VALIDATION_PREDICTIONS)
    assert calibration.selection == "cross-fitted"
    assert calibration.num_images == calibration.num_selection_images == len(predictions.labels) < 100
    assert calibration.fitted_on.endswith("(each half predicted with weights that the other half chose)")

    from saccade.data.splits import second_half

    images, _ = validation_of(run, digits)
    rows = [digits.splits["train"].hashes.index(content) for content in images.hashes]
    predicted = np.stack(watching.predictions)[:, rows]  # [epochs, n, classes]
    np.testing.assert_array_equal(images.labels, predictions.labels)
    second = second_half(images)
    assert abs(second.sum() - len(second) / 2) < 2
    for choosing in (second, ~second):
        correct = predicted.argmax(axis=2)[:, choosing] == images.labels[choosing]
        losses = -np.log(predicted[:, choosing][:, np.arange(choosing.sum()), images.labels[choosing]]).mean(axis=1)
        epoch = max(range(3), key=lambda each: (correct[each].mean(), -losses[each]))
        expected = at_temperature(predicted[epoch, ~choosing], calibration.temperature)
        np.testing.assert_allclose(predictions.probabilities[~choosing], expected, atol=1e-4)
