"""Temperature scaling: the fit, and the use of the temperature by everything that predicts from a run."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

import saccade
from saccade.cli.main import cli
from saccade.data.splits import splits_of
from saccade.evaluation.metrics import measure
from saccade.inference.predictor import Predictor
from saccade.models.build import build_probability_model
from saccade.models.temperature_scaling import divide_logits
from saccade.recipes import get_recipe
from saccade.training.calibration import at_temperature, fit_temperature


def drawn(n=20_000, classes=5, sharpness=1.0, seed=0):
    """Return labels drawn from known probabilities, and probabilities whose logits are multiplied by `sharpness`."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (n, classes))
    truth = softmax(logits, axis=1)
    labels = (truth.cumsum(axis=1) > draw.random((n, 1))).argmax(axis=1)
    return labels, softmax(logits * sharpness, axis=1).astype(np.float32)


def mean_loss(labels, probabilities):
    return -np.log(probabilities[np.arange(len(labels)), labels], dtype=np.float64).mean()


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_corrects_scaled_logits(sharpness):
    labels, probabilities = drawn(sharpness=sharpness)
    calibration = fit_temperature(labels, probabilities)
    assert calibration.temperature == pytest.approx(sharpness, rel=0.05)
    assert calibration.num_images == len(labels)
    calibrated = at_temperature(probabilities, calibration.temperature)
    assert measure(labels, calibrated).expected_calibration_error < 0.02
    error_before = measure(labels, probabilities).expected_calibration_error
    assert error_before < 0.02 if sharpness == 1 else error_before > 0.1
    assert calibration.log_loss_before == pytest.approx(mean_loss(labels, probabilities), rel=1e-5)
    assert calibration.log_loss_after == pytest.approx(mean_loss(labels, calibrated), rel=1e-5)


def without_prior(labels, probabilities):
    """Return the temperature that minimizes the log-loss alone, from 0.25 to 10, to 1%."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-37))
    rows = np.arange(len(labels))
    grid = np.geomspace(0.25, 10, 371)
    return grid[np.argmin([-log_softmax(logits / temperature, axis=1)[rows, labels].mean() for temperature in grid])]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_with_many_images_the_temperature_minimizes_the_log_loss(sharpness, seed):
    labels, probabilities = drawn(n=1000, sharpness=sharpness, seed=seed)
    assert fit_temperature(labels, probabilities).temperature == pytest.approx(
        without_prior(labels, probabilities), rel=0.02
    )


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("n", [5, 20, 200])
def test_a_network_without_errors_does_not_become_certain(n, classes):
    """After n correct predictions of equal confidence, one in 2n + 2 predictions is expected to be incorrect."""
    probabilities = np.full((n, classes), 0.1 / (classes - 1), np.float32)
    labels = np.arange(n) % classes
    probabilities[np.arange(n), labels] = 0.9
    calibration = fit_temperature(labels, probabilities)
    calibrated = at_temperature(probabilities, calibration.temperature)
    assert calibrated.max(axis=1) == pytest.approx((n + 0.5) / (n + 1), abs=1e-3)
    assert calibration.log_loss_before == pytest.approx(-np.log(0.9), rel=1e-5)
    assert calibration.log_loss_after == pytest.approx(mean_loss(labels, calibrated), rel=1e-3)


def test_the_temperature_of_an_always_or_never_correct_network_is_bounded():
    certain = np.eye(3, dtype=np.float32)
    correct = fit_temperature(np.array([0, 1, 2]), certain)
    assert 1 < correct.temperature <= 10
    assert correct.log_loss_after > correct.log_loss_before  # the record keeps the log-loss that was measured
    assert fit_temperature(np.array([1, 2, 0]), certain).temperature <= 10
    assert fit_temperature(np.array([1, 2, 0]), np.full((3, 3), 1 / 3, np.float32)).temperature == 1


def smoothed(n, sharpness, seed):
    """Return labels and class probabilities of a network as label smoothing makes it: almost all alike in confidence.

    The confidence is around 90%. Multiplying the logits by `sharpness` gives the probabilities of the labels: 93% of
    the predictions are correct for 1, 99% for 1.6.
    """
    draw = np.random.default_rng(seed)
    logits = np.c_[np.zeros(n), draw.normal(-0.4, 0.3, (n, 3)) - draw.normal(3.5, 0.7, (n, 1))]
    truth = softmax(logits * sharpness, axis=1)
    labels = (truth.cumsum(axis=1) > draw.random((n, 1))).argmax(axis=1)
    return labels, softmax(logits, axis=1).astype(np.float32)


@pytest.mark.parametrize("sharpness", [1.0, 1.35, 1.6])
@pytest.mark.parametrize("n", [20, 40, 60])
def test_with_few_images_and_few_errors_the_confidence_is_better_on_fresh_images(n, sharpness):
    """The log-loss and the calibration error of 2,000 other images, on average over 25 seeds."""
    losses, errors = [], []
    for seed in range(25):
        labels, probabilities = smoothed(n, sharpness, seed)
        fresh, predicted = smoothed(2000, sharpness, 1000 + seed)
        both = [
            at_temperature(predicted, temperature)
            for temperature in (
                fit_temperature(labels, probabilities).temperature,
                without_prior(labels, probabilities),
            )
        ]
        losses.append([mean_loss(fresh, np.maximum(calibrated, 1e-37)) for calibrated in both])
        errors.append([measure(fresh, calibrated).expected_calibration_error for calibrated in both])
    (loss, loss_without), (error, error_without) = np.mean(losses, axis=0), np.mean(errors, axis=0)
    assert loss < 0.98 * loss_without
    assert error < error_without + 0.01  # hardly changes: certainty of too many predictions costs little of it


# `accurate` is `fast` with more channels, and `two-phase` trains the network of `classic`.
@pytest.mark.parametrize("tta_views", [1, 6])
@pytest.mark.parametrize(
    "name",
    ["folder", "scheduled", *(pytest.param(name, marks=pytest.mark.long) for name in ("classic", "fast", "quick"))],
)
def test_dividing_the_logits_of_every_network_agrees_with_scaling_its_probabilities(name, tta_views):
    recipe = get_recipe(name)
    model = build_probability_model(recipe, height=24, width=24, classes=4, tta_views=tta_views)
    images = np.random.default_rng(0).integers(0, 256, (6, 24, 24, 3), np.uint8)
    divide_logits(model, 0.05)  # the predictions for augmented images must differ, or their average is trivial
    before = model.predict_on_batch(images)
    temperature = np.ptp(np.log(before), axis=1).max() / 3  # an untrained network has almost equal or extreme logits
    divide_logits(model, temperature)
    after = model.predict_on_batch(images)
    np.testing.assert_allclose(after, at_temperature(before, temperature), atol=1e-3)
    assert np.abs(after - before).max() > 0.05


@pytest.mark.long
def test_the_temperature_is_optimal_with_test_time_augmentation(tiny_folder, tmp_path):
    # At 16 pixels `quick` has a quarter of its weights.
    settings = {"tta_views": 6, "image_size": 16, "batch_size": 12, "batchnorm_recalibration_batches": 5}
    run = saccade.train(
        tiny_folder, recipe="quick", epochs=1, settings=settings, out=tmp_path / "run", progress=False
    )  # fmt: skip
    kept = run.predictions("predictions-validation.safetensors")
    validation = splits_of(
        saccade.load(tiny_folder, image_size=16), validation_split=run.recipe.validation_split, seed=0
    )["validation"]
    np.testing.assert_array_equal(kept.labels, validation.labels)
    images = validation.take(slice(None))
    predictor = Predictor.from_run(run)
    np.testing.assert_allclose(kept.probabilities, predictor.probabilities(images), atol=1e-4)
    predicted = predictor.probabilities(images)
    calibration = run.calibration()
    assert calibration is not None
    assert mean_loss(kept.labels, predicted) == pytest.approx(calibration.log_loss_after, abs=1e-4)
    # The predictions are at the best temperature: a second fit changes nothing.
    assert 0.25 < run.temperature < 10
    assert fit_temperature(kept.labels, predicted).temperature == pytest.approx(1, abs=0.01)
    saved = keras.models.load_model(run.path / "model.keras").predict_on_batch(images)
    np.testing.assert_allclose(saved, kept.probabilities, atol=1e-4)


def test_every_prediction_from_a_run_uses_its_temperature(tiny_run):
    calibration = tiny_run.calibration()
    assert calibration is not None
    assert calibration.num_images == tiny_run.data.num_images["validation"]
    assert tiny_run.temperature != 1
    images, labels = tiny_run.validation_images()
    predictions = tiny_run.predictions("predictions-validation.safetensors")
    predicted = Predictor.from_run(tiny_run).probabilities(images)
    np.testing.assert_allclose(
        keras.models.load_model(tiny_run.path / "model.keras").predict(images), predicted, atol=1e-5
    )
    np.testing.assert_array_equal(np.sort(labels), np.sort(predictions.labels))
    assert log_loss(labels, predicted, labels=[0, 1, 2]) == pytest.approx(calibration.log_loss_after, abs=1e-4)
    uncalibrated = at_temperature(predicted, 1 / tiny_run.temperature)
    assert log_loss(labels, uncalibrated, labels=[0, 1, 2]) == pytest.approx(calibration.log_loss_before, abs=1e-4)


def test_without_validation_images_the_temperature_is_1_and_that_is_reported(tiny_folder, tmp_path):
    run = saccade.train(
        tiny_folder,
        recipe="scheduled",
        epochs=1,
        settings={"validation_split": 0},
        out=tmp_path / "run",
        progress=False,
    )
    assert run.calibration() is None
    assert run.temperature == 1
    assert "temperature 1: not calibrated" in CliRunner().invoke(cli, ["evaluate", str(run.path)]).stdout
    report = json.loads(CliRunner().invoke(cli, ["evaluate", str(run.path), "--json"]).stdout)
    assert report["temperature"] == 1
    assert report["calibrated_on"] is None
