"""Saying "unsure": thresholds that keep a promise, and what predict makes of them."""

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
from saccade.runs.predictions import Answers
from saccade.runs.run import Run

DRAWS = 1000
# More false promises than this are made with a chance below one in 10,000, if one in twenty is false.
MOST_FALSE = binom.isf(1e-4, DRAWS, 0.05)


@dataclass(frozen=True)
class Answering:
    """Answers whose scores are normal, of spread 1, for right ones further up by what the AUC of confidence says."""

    accuracy: float
    auc: float

    @property
    def apart(self):
        return 2**0.5 * norm.ppf(self.auc)

    def draw(self, n, random):
        """Confidences, float32 [n], and whether each answer is wrong."""
        right = random.random(n) < self.accuracy
        return norm.cdf(random.normal(size=n) + self.apart * right).astype(np.float32), ~right

    def kept(self, threshold):
        """The part of all answers of at least this confidence, and the part of right ones among these."""
        score = norm.ppf(threshold)
        right, wrong = self.accuracy * norm.sf(score - self.apart), (1 - self.accuracy) * norm.sf(score)
        return right + wrong, right / (right + wrong)

    def largest_coverage(self, promise):
        """That of the lowest threshold which really keeps a promise."""
        return max(
            coverage for coverage, accuracy in map(self.kept, norm.cdf(np.linspace(-3, 3, 400))) if accuracy >= promise
        )


def threshold_of(confidences, wrong, promise):
    try:
        return find_threshold(confidences, wrong, promise).threshold
    except RunError:
        return None


def lowest_of_all(confidences, wrong, promise):
    """The lowest threshold of all that pass the test, as if each were the only one."""
    order = np.argsort(-confidences)
    passed = np.flatnonzero(binom.cdf(wrong[order].cumsum(), np.arange(1, len(order) + 1), 1 - promise) <= 0.05)
    return float(confidences[order][passed[-1]]) if len(passed) else None


def false_promises(method, answering, n, promise):
    """How many of `DRAWS` promises are not kept by the threshold that is found."""
    random = np.random.default_rng(0)
    found = (method(*answering.draw(n, random), promise) for _ in range(DRAWS))
    return sum(threshold is not None and answering.kept(threshold)[1] < promise for threshold in found)


@pytest.mark.parametrize(
    ("n", "answering"),
    [(200, Answering(0.85, 0.9)), (500, Answering(0.85, 0.6)), (500, Answering(0.89, 0.5))],
    ids=["ranked well", "ranked poorly", "a point under the target, not ranked at all"],
)
def test_one_promise_in_twenty_is_false_at_most(n, answering):
    assert false_promises(threshold_of, answering, n, 0.9) <= MOST_FALSE


def test_watching_all_thresholds_would_make_more_false_promises():
    """The check above tells the two apart: expected are 122, and 77 or fewer with a chance below one in 10,000."""
    assert false_promises(lowest_of_all, Answering(0.89, 0.5), 500, 0.9) > MOST_FALSE


def test_the_promise_does_not_cost_much_coverage():
    """Expected are 95% of the largest coverage; the mean of 50 has a deviation of half a point."""
    answering, random = Answering(0.85, 0.9), np.random.default_rng(0)
    draws = [answering.draw(2000, random) for _ in range(50)]
    found = [threshold_of(confidences, wrong, 0.9) for confidences, wrong in draws]
    coverage = [0 if threshold is None else answering.kept(threshold)[0] for threshold in found]
    assert np.mean(coverage) >= 0.8 * answering.largest_coverage(0.9)


def test_what_is_found_is_counted():
    confidences, wrong = Answering(0.9, 0.9).draw(2000, np.random.default_rng(0))
    found = find_threshold(confidences, wrong, 0.95)
    given = confidences >= found.threshold
    assert (found.answered, found.wrong, found.pictures) == (given.sum(), wrong[given].sum(), 2000)
    assert found.bound == pytest.approx(
        binomtest(found.wrong, found.answered, alternative="less").proportion_ci(0.95, "exact").high
    )
    assert found.bound <= 0.05
    assert found.coverage == given.mean()


def test_thresholds_below_the_first_that_fails_are_not_looked_at():
    """A fixed sequence: 300 right answers, 100 of which half are wrong, and then as many right ones as one likes."""
    wrong = np.zeros(4000, bool)
    wrong[300:400:2] = True
    confidences = np.linspace(1, 0.5, 4000, dtype=np.float32)
    with_all = find_threshold(confidences, wrong, 0.9)
    assert lowest_of_all(confidences, wrong, 0.9) == confidences[-1]
    assert with_all.answered < 400
    wrong[1000:] = True
    assert find_threshold(confidences, wrong, 0.9).threshold == with_all.threshold


def test_a_promise_takes_as_many_images_as_its_first_threshold():
    """Of 58 right answers the 95% bound is above 5%, of 59 below."""
    for n in (58, 59):
        confidences, wrong = np.linspace(0.5, 1, n, dtype=np.float32), np.zeros(n, bool)
        if n == 59:
            assert find_threshold(confidences, wrong, 0.95).answered == 59
        else:
            with pytest.raises(RunError) as caught:
                find_threshold(confidences, wrong, 0.95)
            assert caught.value.expected == "at least 59 held-out pictures"


def test_answers_of_equal_confidence_stay_together():
    confidences = np.array([0.9] * 500 + [0.8] * 500, np.float32)
    wrong = np.zeros(1000, bool)
    wrong[-30:] = True  # all of them among the less confident
    found = find_threshold(confidences, wrong, 0.98)
    assert found.threshold == np.float32(0.9)
    assert found.answered == 500


def test_a_promise_that_can_not_be_kept_is_refused_with_what_can_be():
    confidences, wrong = Answering(0.8, 0.8).draw(1000, np.random.default_rng(2))
    with pytest.raises(RunError, match=r"to promise that 0\.99 ") as caught:
        find_threshold(confidences, wrong, 0.99)
    (possible,) = map(float, re.findall(r"such as (0\.\d+)", str(caught.value.remedy)))
    assert find_threshold(confidences, wrong, possible).bound <= 1 - possible
    with pytest.raises(RunError):
        find_threshold(confidences, wrong, possible + 0.01)


def test_answers_that_are_all_wrong_promise_nothing():
    with pytest.raises(RunError) as caught:
        find_threshold(np.linspace(0.5, 1, 300, dtype=np.float32), np.ones(300, bool), 0.9)
    assert "such as" not in str(caught.value.remedy)


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


def test_test_pictures_unlike_the_validation_pictures_are_told_wherever_a_promise_is(run, tiny_folder, tmp_path):
    def said(*arguments):
        result = CliRunner().invoke(cli, list(map(str, arguments)))
        assert result.exit_code == 0, result.output
        return " ".join(result.stderr.split())

    unlike, asked = "than the validation pictures", ("predict", run.path, f"{tiny_folder}:test:0", "--abstain", "0.9")
    assert unlike not in said("evaluate", run.path)
    assert unlike not in said(*asked)
    # Two of three classes change places: to the run their pictures are the wrong ones.
    folder = shutil.copytree(tiny_folder, tmp_path / "folder")
    for name, later in (("one", "three"), ("two", "one"), ("three", "two")):
        (folder / "test" / name).rename(folder / "test" / later)
    record = run.path / "data.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"source": str(folder)}))
    note = r"note: the test pictures are harder than the validation pictures, or unlike them: accuracy {} \(95% "
    low, high = saccade.evaluate(run.path).accuracy_interval
    both = note.format(r"[\d.]+%") + rf"interval {low:.2%} to {high:.2%}\) against [\d.]+% \([\d.]+% to [\d.]+%\)"
    assert re.search(both, said("evaluate", run.path))
    assert re.search(both, said(*asked))
    assert unlike not in said(*asked[:-2])
    saccade.report(run.path)
    assert all(
        "harder than the validation pictures" in (run.path / n).read_text() for n in ("report.html", "README.md")
    )
    assert unlike not in said("evaluate", run.path, "--data", tiny_folder)
