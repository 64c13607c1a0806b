"""Familiarity: uniform on pictures like the training data, near 0 on others; and what predict tells of it."""

import csv
import io

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import saccade
from saccade.cli.main import cli
from saccade.errors import RunError
from saccade.models.build import build_probability_model
from saccade.models.familiarity import EarlyStatistics, Familiarity, squared_distances, whitened
from saccade.recipes import CATALOGUE, get_recipe


def drawn(n, seed, shift=0.0):
    draw = np.random.default_rng(seed)
    return (draw.normal(size=(n, 4)) @ draw.permutation(np.diag([1, 2, 3, 4])) + shift).astype(np.float32)


def test_distances_are_those_of_scipy():
    from scipy.spatial.distance import mahalanobis

    statistics = drawn(5000, seed=0)
    mean, whitening = whitened(statistics)
    inverse = np.linalg.inv(np.cov(statistics.T, bias=True) + 0.01 * np.trace(np.cov(statistics.T)) / 4 * np.eye(4))
    expected = [mahalanobis(row, statistics.mean(axis=0), inverse) ** 2 for row in statistics[:20]]
    np.testing.assert_allclose(squared_distances(statistics[:20], mean, whitening), expected, rtol=1e-2)


def test_of_pictures_like_the_training_data_one_in_twenty_seems_unfamiliar():
    draw = np.random.default_rng(1)
    statistics, confidences = drawn(9000, seed=2), draw.uniform(0.3, 1, 9000).astype(np.float32)
    familiarity = Familiarity.fit(statistics[:3000], statistics[3000:6000], confidences[3000:6000])
    others = familiarity.of(statistics[6000:], confidences[6000:])
    for part in (0.05, 0.25, 0.5, 0.9):
        assert (others < part).mean() == pytest.approx(part, abs=0.03)
    assert (familiarity.of(statistics[6000:] + 30, confidences[6000:]) < 0.05).all()
    assert (familiarity.of(statistics[6000:], np.full(3000, 0.3, np.float32)) < 0.05).mean() > 0.2


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_network_has_early_statistics_that_are_finite(name):
    statistics = EarlyStatistics(build_probability_model(get_recipe(name), height=32, width=32, classes=3))
    pictures = np.zeros((3, 32, 32, 3), np.uint8)
    pictures[1] = 255
    pictures[2] = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    found = statistics(pictures.__getitem__, 3)
    assert found.shape == (3, statistics.size)
    assert np.isfinite(found).all()


@pytest.fixture
def strange(tmp_path):
    """Noise and a plain colour, as files."""
    folder = tmp_path / "strange"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(draw.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(folder / f"noise{number}.png")
        Image.new("RGB", (32, 32), (250, 40 * number, 10)).save(folder / f"plain{number}.png")
    return folder


def test_predict_tells_what_is_unlike_the_training_pictures(tiny_run, tiny_folder, strange):
    # Of 12 validation pictures, none of them less familiar: (0 + 1) / (12 + 1).
    least = 1 / (tiny_run.data.pictures["validation"] + 1)
    own = [one.familiarity or 0 for one in saccade.predict(tiny_run, str(tiny_folder / "test"), familiarity=True)]
    assert np.mean(np.array(own) > 2 * least) > 0.3
    others = saccade.predict(tiny_run, str(strange), familiarity=True)
    assert np.mean([one.familiarity == pytest.approx(least) for one in others]) > 0.8
    assert all(one.familiarity is None for one in saccade.predict(tiny_run, str(strange)))
    result = CliRunner().invoke(cli, ["predict", str(tiny_run.path), str(strange), "--familiarity", "--csv"])
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [float(row["familiarity"]) for row in rows] == pytest.approx([one.familiarity for one in others], abs=1e-4)


def test_what_is_damaged_or_missing_is_told(run_copy, strange):
    arrays = run_copy.familiarity()
    assert arrays is not None
    run_copy.write_familiarity(arrays | {"mean": arrays["mean"][:-1]})
    with pytest.raises(RunError, match="is damaged"):
        saccade.predict(run_copy, str(strange), familiarity=True)
    (run_copy.path / "familiarity.safetensors").unlink()
    with pytest.raises(RunError, match="does not know what is familiar"):
        saccade.predict(run_copy, str(strange), familiarity=True)
