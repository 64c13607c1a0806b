"""Saying "abstained": thresholds that keep a promise, and what predict makes of them."""

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
# More false promises than this are made with a chance below one in 10,000, if one in twenty is false.
MOST_FALSE = binom.isf(1e-4, DRAWS, 0.05)


@dataclass(frozen=True)
class SimulatedClassifier:
    """Answers whose scores are normal, of spread 1, for right ones further up by what the AUC of confidence says."""

    accuracy: float
    auc: float

    @property
    def apart(self):
        return 2**0.5 * norm.ppf(self.auc)

    def draw(self, n, random):
        """Confidences, float32 [n], and whether each prediction is incorrect."""
        correct = random.random(n) < self.accuracy
        return norm.cdf(random.normal(size=n) + self.apart * correct).astype(np.float32), ~correct

    def kept(self, threshold):
        """The part of all answers of at least this confidence, and the part of right ones among these."""
        score = norm.ppf(threshold)
        correct, incorrect = self.accuracy * norm.sf(score - self.apart), (1 - self.accuracy) * norm.sf(score)
        return correct + incorrect, correct / (correct + incorrect)

    def largest_coverage(self, target_accuracy):
        """That of the lowest threshold which really keeps a promise."""
        return max(
            coverage
            for coverage, accuracy in map(self.kept, norm.cdf(np.linspace(-3, 3, 400)))
            if accuracy >= target_accuracy
        )


def threshold_of(confidences, incorrect, target_accuracy):
    try:
        return find_threshold(confidences, incorrect, target_accuracy).threshold
    except RunError:
        return None


def lowest_of_all(confidences, incorrect, target_accuracy):
    """The lowest threshold of all that pass the test, as if each were the only one."""
    order = np.argsort(-confidences)
    passed = np.flatnonzero(
        binom.cdf(incorrect[order].cumsum(), np.arange(1, len(order) + 1), 1 - target_accuracy) <= 0.05
    )
    return float(confidences[order][passed[-1]]) if len(passed) else None


def missed_targets(method, classifier, n, target_accuracy):
    """How many of `DRAWS` promises are not kept by the threshold that is found."""
    random = np.random.default_rng(0)
    found = (method(*classifier.draw(n, random), target_accuracy) for _ in range(DRAWS))
    return sum(threshold is not None and classifier.kept(threshold)[1] < target_accuracy for threshold in found)


@pytest.mark.parametrize(
    ("n", "classifier"),
    [
        (200, SimulatedClassifier(0.85, 0.9)),
        (500, SimulatedClassifier(0.85, 0.6)),
        (500, SimulatedClassifier(0.89, 0.5)),
    ],
    ids=["ranked well", "ranked poorly", "a point under the target, not ranked at all"],
)
def test_one_target_accuracy_in_twenty_is_missed_at_most(n, classifier):
    assert missed_targets(threshold_of, classifier, n, 0.9) <= MOST_FALSE


def test_watching_all_thresholds_would_make_more_missed_targets():
    """The check above tells the two apart: expected are 122, and 77 or fewer with a chance below one in 10,000."""
    assert missed_targets(lowest_of_all, SimulatedClassifier(0.89, 0.5), 500, 0.9) > MOST_FALSE


def test_the_target_accuracy_does_not_cost_much_coverage():
    """Expected are 95% of the largest coverage; the mean of 50 has a deviation of half a point."""
    classifier, random = SimulatedClassifier(0.85, 0.9), np.random.default_rng(0)
    draws = [classifier.draw(2000, random) for _ in range(50)]
    found = [threshold_of(confidences, incorrect, 0.9) for confidences, incorrect in draws]
    coverage = [0 if threshold is None else classifier.kept(threshold)[0] for threshold in found]
    assert np.mean(coverage) >= 0.8 * classifier.largest_coverage(0.9)


def test_what_is_found_is_counted():
    confidences, incorrect = SimulatedClassifier(0.9, 0.9).draw(2000, np.random.default_rng(0))
    found = find_threshold(confidences, incorrect, 0.95)
    given = confidences >= found.threshold
    assert (found.predicted, found.incorrect, found.num_images) == (given.sum(), incorrect[given].sum(), 2000)
    assert found.bound == pytest.approx(
        binomtest(found.incorrect, found.predicted, alternative="less").proportion_ci(0.95, "exact").high
    )
    assert found.bound <= 0.05
    assert found.coverage == given.mean()


def test_thresholds_below_the_first_that_fails_are_not_looked_at():
    """A fixed sequence: 300 correct predictions, half of 100 incorrect, and then any number of correct ones."""
    incorrect = np.zeros(4000, bool)
    incorrect[300:400:2] = True
    confidences = np.linspace(1, 0.5, 4000, dtype=np.float32)
    with_all = find_threshold(confidences, incorrect, 0.9)
    assert lowest_of_all(confidences, incorrect, 0.9) == confidences[-1]
    assert with_all.predicted < 400
    incorrect[1000:] = True
    assert find_threshold(confidences, incorrect, 0.9).threshold == with_all.threshold


def test_a_target_accuracy_takes_as_many_images_as_its_first_threshold():
    """Of 58 correct predictions the 95% bound is above 5%, of 59 below."""
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
    incorrect[-30:] = True  # all of them among the less confident
    found = find_threshold(confidences, incorrect, 0.98)
    assert found.threshold == np.float32(0.9)
    assert found.predicted == 500


def test_a_target_accuracy_that_can_not_be_kept_is_refused_with_what_can_be():
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
    """A run of 300 validation answers, right where they are sure; itself none too sure of images."""
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
def between(tiny_folder, tmp_path):
    """Images of a class that fade into those of another."""
    folder = tmp_path / "between"
    folder.mkdir()
    for number in range(40, 60):
        first, second = (Image.open(tiny_folder / "test" / name / f"{number}.png") for name in ("null", "two"))
        Image.blend(first, second, number / 20 - 2).save(folder / f"{number}.png")
    return folder


def test_predict_abstains(run, between):
    sure = {one.name: one for one in saccade.predict(run, str(between), abstain=0.98)}
    plain = saccade.predict(run, str(between))
    assert not any(one.abstained for one in plain)
    assert {one.name for one in plain if one.top[0].probability < np.float32(0.9)} == {
        name for name, one in sure.items() if one.abstained
    }
    abstained = next(name for name, one in sure.items() if one.abstained)
    result = CliRunner().invoke(cli, ["predict", str(run.path), abstained, "--abstain", "0.98"])
    assert result.exit_code == 0, result.output
    assert f"{abstained}: abstained (" in result.stdout
    assert "abstained below 90.0%: of 300 validation images 83.3% are predicted, 0 of them incorrectly" in result.stderr


def test_without_validation_images_no_target_accuracy_is_reached(run, tiny_folder):
    (run.path / "calibration.json").unlink()
    with pytest.raises(RunError, match="can't abstain"):
        saccade.predict(run, str(tiny_folder / "test"), abstain=0.9)


def test_test_images_unlike_the_validation_images_are_reported_wherever_a_target_accuracy_is(
    run, tiny_folder, tmp_path
):
    def printed(*arguments):
        result = CliRunner().invoke(cli, list(map(str, arguments)))
        assert result.exit_code == 0, result.output
        return " ".join(result.stderr.split())

    unlike, asked = "than on the validation images", ("predict", run.path, f"{tiny_folder}:test:0", "--abstain", "0.9")
    assert unlike not in printed("evaluate", run.path)
    assert unlike not in printed(*asked)
    # Two of three classes change places: to the run their images are the wrong ones.
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
