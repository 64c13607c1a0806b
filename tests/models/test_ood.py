"""OOD p-value: uniform for images like the training images, near 0 for other images; OOD p-values of predict."""

import csv
import io

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.models.recipes_of_networks import ONE_OF_EACH_NETWORK

import saccade
from saccade.cli.main import cli
from saccade.errors import RunError
from saccade.inference.predictor import Predictor
from saccade.models.build import build_probability_model
from saccade.models.ood_statistics import OodStatistics
from saccade.recipes import get_recipe
from saccade.runs.ood_p_value import OodPValue, fit_whitening, squared_mahalanobis


def drawn(n, seed, shift=0.0):
    draw = np.random.default_rng(seed)
    return (draw.normal(size=(n, 4)) @ draw.permutation(np.diag([1, 2, 3, 4])) + shift).astype(np.float32)


def test_distances_equal_scipys():
    from scipy.spatial.distance import mahalanobis

    statistics = drawn(5000, seed=0)
    mean, whitening = fit_whitening(statistics)
    inverse = np.linalg.inv(np.cov(statistics.T, bias=True) + 0.01 * np.trace(np.cov(statistics.T)) / 4 * np.eye(4))
    expected = [mahalanobis(row, statistics.mean(axis=0), inverse) ** 2 for row in statistics[:20]]
    np.testing.assert_allclose(squared_mahalanobis(statistics[:20], mean, whitening), expected, rtol=1e-2)


def fitted(seed, n=3000):
    """Fit a score; return it with statistics and confidences of n validation images and of n other images."""
    draw = np.random.default_rng(1000 + seed)
    statistics, confidences = drawn(3 * n, seed), draw.uniform(0.3, 1, 3 * n).astype(np.float32)
    validation, others = slice(n, 2 * n), slice(2 * n, None)
    ood_p_value = OodPValue.fit(statistics[:n], statistics[validation], confidences[validation])
    return ood_p_value, *((statistics[rows], confidences[rows]) for rows in (validation, others))


@pytest.mark.parametrize("n", [1, 12, 500])
def test_scores_of_validation_images_are_valid_p_values(n):
    """The ranks of n images are 2 to n + 1 of n + 1; equal values have the highest of their ranks."""
    for seed in range(5):
        ood_p_value, validation, _ = fitted(seed, n)
        found = np.sort(ood_p_value.p_values(*validation)) * (n + 1)
        np.testing.assert_allclose(found, found.round())
        assert (found.round() >= np.arange(2, n + 2)).all()
        assert found.round().max() == n + 1


def test_scores_of_images_like_the_training_images_are_uniform():
    """The standard deviation of the mean fraction is at most 0.0041; a false failure has a chance of 1 in 90,000."""
    fractions = np.array([0.05, 0.25, 0.5, 0.9])
    found = []
    for seed in range(10):
        ood_p_value, _, (statistics, confidences) = fitted(seed)
        found.append((ood_p_value.p_values(statistics, confidences)[:, None] < fractions).mean(axis=0))
        assert (ood_p_value.p_values(statistics + 30, confidences) < 0.05).all()
        assert (ood_p_value.p_values(statistics, np.full_like(confidences, 0.3)) < 0.05).all()
    np.testing.assert_allclose(np.mean(found, axis=0), fractions, atol=0.018)


@pytest.mark.parametrize("name", ONE_OF_EACH_NETWORK)
def test_every_network_has_finite_early_statistics(name):
    recipe = get_recipe(name)
    statistics = OodStatistics(build_probability_model(recipe, height=32, width=32, classes=3), recipe.network)
    images = np.zeros((3, 32, 32, 3), np.uint8)
    images[1] = 255
    images[2] = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    found = statistics(images)
    assert found.shape == (3, statistics.size)
    assert np.isfinite(found).all()


SIZE = (32, 32)


def ood_images():
    """Return noise, gray noise, constant and striped images, five each: uint8 [20, 32, 32, 3]."""
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (5, *SIZE, 3))
    gray_noise = np.repeat(draw.integers(0, 256, (5, *SIZE, 1)), 3, axis=3)
    plain = np.broadcast_to(draw.integers(0, 256, (5, 1, 1, 3)), noise.shape)
    diagonal = np.add(*np.indices(SIZE))[..., None]
    stripes = [np.where(diagonal // width % 2, (250, 20, 90), (5, 235, 165)) for width in range(1, 6)]
    return np.concatenate([noise, gray_noise, plain, stripes]).astype(np.uint8)


@pytest.fixture
def ood_folder(tmp_path):
    """Write these images as files."""
    folder = tmp_path / "ood_folder"
    folder.mkdir()
    for number, image in enumerate(ood_images()):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return folder


def test_predict_reports_low_scores_for_ood_images(tiny_run, ood_folder):
    """The distances of OOD images exceed those of all validation images, on every processor.

    The scores also depend on the confidences, which differ between processors. The bound below holds for every
    confidence.
    """
    known, predictor = tiny_run.ood_statistics(), Predictor.from_run(tiny_run)
    images = ood_images()
    statistics = OodStatistics(predictor.model, tiny_run.recipe.network)(images)
    # Measured: 18 to 1,000 times the distance, with networks of two recipes, with AVX2 and with AVX-512.
    assert squared_mahalanobis(statistics, known["mean"], known["whitening"]).min() > 3 * known["distances"].max()
    n = tiny_run.calibration().num_images
    num_as_unusual = (known["surprises"] >= np.log(n + 1) - 1e-5).sum()
    scores = [one.ood_p_value or 0 for one in saccade.predict(tiny_run, str(ood_folder), ood=True)]
    assert len(scores) == len(images)
    assert np.max(scores) <= (num_as_unusual + 1) / (n + 1)
    assert all(one.ood_p_value is None for one in saccade.predict(tiny_run, str(ood_folder)))
    result = CliRunner().invoke(cli, ["predict", str(tiny_run.path), str(ood_folder), "--ood", "--csv"])
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [float(row["ood_p_value"]) for row in rows] == pytest.approx(scores, abs=1e-4)


def test_damaged_and_missing_statistics_are_reported(run_copy, ood_folder):
    arrays = run_copy.ood_statistics()
    assert arrays is not None
    run_copy.write_ood_statistics(arrays | {"mean": arrays["mean"][:-1]})
    with pytest.raises(RunError, match="OOD p-values are damaged"):
        saccade.predict(run_copy, str(ood_folder), ood=True)
    (run_copy.path / "ood.safetensors").unlink()
    with pytest.raises(RunError, match="has no out-of-distribution statistics"):
        saccade.predict(run_copy, str(ood_folder), ood=True)
