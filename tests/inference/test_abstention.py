"""Saying "unsure": thresholds that keep a promise, and what predict makes of them."""

import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.stats import binomtest

import saccade
from saccade.cli.main import cli
from saccade.errors import RunError
from saccade.inference.abstention import find_threshold
from saccade.runs.answers import Answers
from saccade.runs.run import Run


def answered(n, seed):
    """Confidences, uniform from a half up, and whether each answer is wrong, at exactly that probability."""
    draw = np.random.default_rng(seed)
    confidences = draw.uniform(0.5, 1, n).astype(np.float32)
    return confidences, draw.random(n) > confidences


def upper_bound(wrong, n):
    return binomtest(int(wrong), int(n), alternative="less").proportion_ci(0.95, "exact").high


def test_the_threshold_is_the_lowest_of_those_that_keep_the_promise():
    confidences, wrong = answered(3000, seed=1)
    found = find_threshold(confidences, wrong, 0.9)
    keeping = []
    for threshold in confidences:
        given = confidences >= threshold
        if upper_bound(wrong[given].sum(), given.sum()) <= 0.1:
            keeping.append(threshold)
    assert found.threshold == min(keeping)
    given = confidences >= found.threshold
    assert (found.answered, found.wrong) == (given.sum(), wrong[given].sum())
    assert found.bound == pytest.approx(upper_bound(found.wrong, found.answered))
    assert found.coverage == given.mean()


def test_what_was_promised_on_some_pictures_is_kept_on_others():
    kept = 0
    for seed in range(100):
        confidences, wrong = answered(2000, seed)
        threshold = find_threshold(confidences, wrong, 0.9).threshold
        confidences, wrong = answered(20_000, 1000 + seed)
        kept += wrong[confidences >= threshold].mean() <= 0.1
    assert kept >= 85


def test_answers_of_equal_confidence_stay_together():
    confidences = np.array([0.9] * 500 + [0.8] * 500, np.float32)
    wrong = np.zeros(1000, bool)
    wrong[-30:] = True  # all of them among the less confident
    found = find_threshold(confidences, wrong, 0.98)
    assert found.threshold == np.float32(0.9)
    assert found.answered == 500


def test_a_promise_that_can_not_be_kept_is_refused_with_what_can_be():
    confidences, wrong = answered(100, seed=2)
    with pytest.raises(RunError, match=r"to promise that 0\.999") as caught:
        find_threshold(confidences, wrong, 0.999)
    assert "at best 0." in str(caught.value.found)


@pytest.fixture
def run(tiny_run, tmp_path):
    """A run of 300 validation answers, right where they are sure; itself none too sure of pictures."""
    copy = Run.open(shutil.copytree(tiny_run.path, tmp_path / "run"))
    calibration = copy.calibration()
    assert calibration is not None
    copy.write_calibration(calibration.model_copy(update={"temperature": 5.0}))
    labels = np.arange(300) % 3
    probabilities = np.full((300, 3), 0.05, np.float32)
    probabilities[np.arange(300), labels] = 0.9
    probabilities[250:] = (0.4, 0.35, 0.25)
    copy.write_answers("answers-validation.safetensors", Answers(labels, probabilities, np.zeros((300, 16), np.uint8)))
    return copy


@pytest.fixture
def between(tiny_folder, tmp_path):
    """Pictures of a class that fade into those of another."""
    folder = tmp_path / "between"
    folder.mkdir()
    for number in range(40, 60):
        first, second = (Image.open(tiny_folder / "test" / name / f"{number}.png") for name in ("null", "two"))
        Image.blend(first, second, number / 20 - 2).save(folder / f"{number}.png")
    return folder


def test_predict_says_unsure(run, between):
    sure = {one.name: one for one in saccade.predict(run, str(between), abstain=0.98)}
    plain = saccade.predict(run, str(between))
    assert not any(one.unsure for one in plain)
    assert {one.name for one in plain if one.top[0].probability < np.float32(0.9)} == {
        name for name, one in sure.items() if one.unsure
    }
    unsure = next(name for name, one in sure.items() if one.unsure)
    result = CliRunner().invoke(cli, ["predict", str(run.path), unsure, "--abstain", "0.98"])
    assert result.exit_code == 0, result.output
    assert f"{unsure}: unsure (" in result.stdout
    assert "unsure below 90.0%: of 300 validation pictures 83.3% are answered, 0 of them wrongly" in result.stderr


def test_without_validation_pictures_nothing_is_promised(run, tiny_folder):
    (run.path / "calibration.json").unlink()
    with pytest.raises(RunError, match="can't abstain"):
        saccade.predict(run, str(tiny_folder / "test"), abstain=0.9)
