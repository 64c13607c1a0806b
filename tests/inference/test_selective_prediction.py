"""Selective prediction: thresholds that reach a target accuracy, and abstention in predict."""

import json
import re
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.stats import binom, binomtest, norm

import saccade
from saccade.cli.main import cli
from saccade.errors import RunError
from saccade.inference.selective_prediction import find_threshold
from saccade.runs.predictions import Predictions
from saccade.runs.run import Run

DRAWS = 1000
# If a target accuracy is missed with probability 5%, more misses than this have a probability below 1e-4.
MAX_MISSED = binom.isf(1e-4, DRAWS, 0.05)


@dataclass(frozen=True)
class SimulatedClassifier:
    """A classifier with normal scores, of standard deviation 1, shifted upward for correct predictions.

    Attributes:
        accuracy: accuracy of all predictions, 0 to 1.
        auc: area under the ROC curve of the confidence as a score for correctness.
    """

    accuracy: float
    auc: float

    @property
    def separation(self):
        return 2**0.5 * norm.ppf(self.auc)

    def draw(self, n, random):
        """Draw confidences, float32 [n], and whether each prediction is incorrect, bool [n]."""
        correct = random.random(n) < self.accuracy
        return norm.cdf(random.normal(size=n) + self.separation * correct).astype(np.float32), ~correct

    def coverage_and_accuracy(self, threshold):
        """Return the coverage of a threshold, and the accuracy of the kept predictions."""
        score = norm.ppf(threshold)
        correct, incorrect = self.accuracy * norm.sf(score - self.separation), (1 - self.accuracy) * norm.sf(score)
        return correct + incorrect, correct / (correct + incorrect)

    def largest_coverage(self, target_accuracy):
        """Return the coverage of the lowest threshold whose true accuracy reaches the target."""
        return max(
            coverage
            for coverage, accuracy in map(self.coverage_and_accuracy, norm.cdf(np.linspace(-3, 3, 400)))
            if accuracy >= target_accuracy
        )


def threshold_of(confidences, incorrect, target_accuracy):
    try:
        return find_threshold(confidences, incorrect, target_accuracy).threshold
    except RunError:
        return None


def lowest_of_all(confidences, incorrect, target_accuracy):
    """Return the lowest threshold that passes a test without correction for multiple testing."""
    order = np.argsort(-confidences)
    passed = np.flatnonzero(
        binom.cdf(incorrect[order].cumsum(), np.arange(1, len(order) + 1), 1 - target_accuracy) <= 0.05
    )
    return float(confidences[order][passed[-1]]) if len(passed) else None


def missed_targets(method, classifier, n, target_accuracy):
    """Count in how many of `DRAWS` draws the found threshold misses the target accuracy."""
    random = np.random.default_rng(0)
    found = (method(*classifier.draw(n, random), target_accuracy) for _ in range(DRAWS))
    return sum(
        threshold is not None and classifier.coverage_and_accuracy(threshold)[1] < target_accuracy
        for threshold in found
    )


@pytest.mark.parametrize(
    ("n", "classifier"),
    [
        (200, SimulatedClassifier(0.85, 0.9)),
        (500, SimulatedClassifier(0.85, 0.6)),
        (500, SimulatedClassifier(0.89, 0.5)),
    ],
    ids=["ranked well", "ranked poorly", "a point under the target, not ranked at all"],
)
def test_at_most_one_target_accuracy_in_twenty_is_missed(n, classifier):
    assert missed_targets(threshold_of, classifier, n, 0.9) <= MAX_MISSED


def test_the_lowest_of_all_thresholds_would_miss_more_targets():
    """The test above detects the difference: 122 misses are expected; 77 or fewer have a probability below 1e-4."""
    assert missed_targets(lowest_of_all, SimulatedClassifier(0.89, 0.5), 500, 0.9) > MAX_MISSED


def test_coverage_is_near_the_largest_possible():
    """95% of the largest coverage is expected; the mean of 50 draws has a standard deviation of half a point."""
    classifier, random = SimulatedClassifier(0.85, 0.9), np.random.default_rng(0)
    draws = [classifier.draw(2000, random) for _ in range(50)]
    found = [threshold_of(confidences, incorrect, 0.9) for confidences, incorrect in draws]
    coverage = [0 if threshold is None else classifier.coverage_and_accuracy(threshold)[0] for threshold in found]
    assert np.mean(coverage) >= 0.8 * classifier.largest_coverage(0.9)


def test_counts_and_bound_of_a_threshold():
    confidences, incorrect = SimulatedClassifier(0.9, 0.9).draw(2000, np.random.default_rng(0))
    found = find_threshold(confidences, incorrect, 0.95)
    given = confidences >= found.threshold
    assert (found.predicted, found.incorrect, found.num_images) == (given.sum(), incorrect[given].sum(), 2000)
    assert found.bound == pytest.approx(
        binomtest(found.incorrect, found.predicted, alternative="less").proportion_ci(0.95, "exact").high
    )
    assert found.bound <= 0.05
    assert found.coverage == given.mean()


def test_thresholds_below_the_first_failure_are_not_tested():
    """300 correct predictions, then 100 with half of them incorrect, then correct ones, in order of confidence."""
    incorrect = np.zeros(4000, bool)
    incorrect[300:400:2] = True
    confidences = np.linspace(1, 0.5, 4000, dtype=np.float32)
    with_all = find_threshold(confidences, incorrect, 0.9)
    assert lowest_of_all(confidences, incorrect, 0.9) == confidences[-1]
    assert with_all.predicted < 400
    incorrect[1000:] = True
    assert find_threshold(confidences, incorrect, 0.9).threshold == with_all.threshold


def test_fewest_images_for_a_target_accuracy():
    """The 95% bound is above 5% for 58 correct predictions, and below 5% for 59."""
    for n in (58, 59):
        confidences, incorrect = np.linspace(0.5, 1, n, dtype=np.float32), np.zeros(n, bool)
        if n == 59:
            assert find_threshold(confidences, incorrect, 0.95).predicted == 59
        else:
            with pytest.raises(RunError) as caught:
                find_threshold(confidences, incorrect, 0.95)
            assert caught.value.expected == "at least 59 held-out images"


def test_predictions_of_equal_confidence_stay_together():
    confidences = np.array([0.9] * 500 + [0.8] * 500, np.float32)
    incorrect = np.zeros(1000, bool)
    incorrect[-30:] = True  # among the less confident predictions
    found = find_threshold(confidences, incorrect, 0.98)
    assert found.threshold == np.float32(0.9)
    assert found.predicted == 500


def test_an_unreachable_target_accuracy_is_an_error_with_a_reachable_one():
    confidences, incorrect = SimulatedClassifier(0.8, 0.8).draw(1000, np.random.default_rng(2))
    with pytest.raises(RunError, match=r"the target accuracy 0\.99\n") as caught:
        find_threshold(confidences, incorrect, 0.99)
    (possible,) = map(float, re.findall(r"such as (0\.\d+)", str(caught.value.remedy)))
    assert find_threshold(confidences, incorrect, possible).bound <= 1 - possible
    with pytest.raises(RunError):
        find_threshold(confidences, incorrect, possible + 0.01)


def test_predictions_that_are_all_incorrect_reach_no_target_accuracy():
    with pytest.raises(RunError) as caught:
        find_threshold(np.linspace(0.5, 1, 300, dtype=np.float32), np.ones(300, bool), 0.9)
    assert "such as" not in str(caught.value.remedy)


@pytest.fixture
def run(tiny_run, tmp_path):
    """Create a run with 300 validation predictions, correct where confident, and a temperature of 5."""
    copy = Run.open(shutil.copytree(tiny_run.path, tmp_path / "run"))
    calibration = copy.calibration()
    assert calibration is not None
    copy.write_calibration(calibration.model_copy(update={"temperature": 5.0}))
    labels = np.arange(300) % 3
    probabilities = np.full((300, 3), 0.05, np.float32)
    probabilities[np.arange(300), labels] = 0.9
    probabilities[250:] = (0.4, 0.35, 0.25)
    copy.write_predictions(
        "predictions-validation.safetensors", Predictions(labels, probabilities, np.zeros((300, 16), np.uint8))
    )
    return copy


@pytest.fixture
def blended_images(tiny_folder, tmp_path):
    """Create images that blend from one class to another."""
    folder = tmp_path / "blended_images"
    folder.mkdir()
    for number in range(40, 60):
        first, second = (Image.open(tiny_folder / "test" / name / f"{number}.png") for name in ("null", "two"))
        Image.blend(first, second, number / 20 - 2).save(folder / f"{number}.png")
    return folder


def test_predict_abstains(run, blended_images):
    sure = {one.name: one for one in saccade.predict(run, str(blended_images), abstain=0.98)}
    plain = saccade.predict(run, str(blended_images))
    assert not any(one.abstained for one in plain)
    assert {one.name for one in plain if one.top[0].probability < np.float32(0.9)} == {
        name for name, one in sure.items() if one.abstained
    }
    abstained = next(name for name, one in sure.items() if one.abstained)
    result = CliRunner().invoke(cli, ["predict", str(run.path), abstained, "--abstain", "0.98"])
    assert result.exit_code == 0, result.output
    assert f"{abstained}: abstained (" in result.stdout
    assert "abstained below 90.0%: of 300 validation images 83.3% are predicted, 0 of them incorrectly" in result.stderr


def test_abstention_needs_validation_images(run, tiny_folder):
    (run.path / "calibration.json").unlink()
    with pytest.raises(RunError, match="can't abstain"):
        saccade.predict(run, str(tiny_folder / "test"), abstain=0.9)


@pytest.mark.long
def test_test_images_unlike_the_validation_images_are_noted_with_a_target_accuracy(run, tiny_folder, tmp_path):
    def printed(*arguments):
        result = CliRunner().invoke(cli, list(map(str, arguments)))
        assert result.exit_code == 0, result.output
        return " ".join(result.stderr.split())

    unlike, asked = "than on the validation images", ("predict", run.path, f"{tiny_folder}:test:0", "--abstain", "0.9")
    assert unlike not in printed("evaluate", run.path)
    assert unlike not in printed(*asked)
    # The folders of the classes are permuted, so that the run predicts their images incorrectly.
    folder = shutil.copytree(tiny_folder, tmp_path / "folder")
    for name, later in (("one", "three"), ("two", "one"), ("three", "two")):
        (folder / "test" / name).rename(folder / "test" / later)
    record = run.path / "data.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"source": str(folder)}))
    note = r"note: the accuracy on the test images is lower than on the validation images: {} \(95% "
    low, high = saccade.evaluate(run.path).accuracy_interval
    both = note.format(r"[\d.]+%") + rf"interval {low:.2%} to {high:.2%}\) against [\d.]+% \([\d.]+% to [\d.]+%\)"
    assert re.search(both, printed("evaluate", run.path))
    assert re.search(both, printed(*asked))
    assert unlike not in printed(*asked[:-2])
    saccade.report(run.path)
    assert all(
        "lower than on the validation images" in (run.path / n).read_text() for n in ("report.html", "README.md")
    )
    assert unlike not in printed("evaluate", run.path, "--data", tiny_folder)
