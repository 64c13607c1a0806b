"""Statistics of a comparison against SciPy, brute force and simulated trainings of known quality."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest, ttest_1samp, ttest_ind

from saccade.evaluation.compare import significance
from saccade.evaluation.compare.significance import (
    bootstrap_interval,
    compare_correct,
    mcnemar,
    mean_interval,
    seed_spread,
)
from saccade.evaluation.multiple_comparisons import holm
from saccade.evaluation.wilson_interval import wilson_interval


def _runs(random, seeds, margins, *, spread=0.0, gap=0.0):
    """Simulate correct predictions of trainings; `spread` is the standard deviation of the accuracy over seeds."""
    chances = 1 / (1 + np.exp(-margins))
    slope = (chances * (1 - chances)).mean()
    shifted = (gap + spread * random.normal(size=(seeds, 1))) / slope
    return random.random((seeds, len(margins))) < 1 / (1 + np.exp(-(margins + shifted)))


@pytest.mark.parametrize("only", [(0, 0), (0, 1), (0, 6), (3, 3), (5, 16), (16, 5), (400, 470)])
def test_mcnemars_exact_test_is_a_binomial_test_of_the_discordant_images(only):
    expected = 1.0 if sum(only) == 0 else binomtest(only[0], sum(only), 0.5).pvalue
    assert mcnemar(*only) == pytest.approx(expected, rel=1e-9)


def test_the_bootstrap_interval_is_that_of_resampling_images():
    random = np.random.default_rng(0)
    differences = random.choice([-1.0, 0.0, 0.5, 1.0], p=[0.1, 0.6, 0.1, 0.2], size=500)
    means = differences[random.integers(0, 500, (20_000, 500))].mean(axis=1)
    assert bootstrap_interval(differences) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.004)
    assert bootstrap_interval(differences) == bootstrap_interval(differences)


def test_the_bootstrap_interval_of_equal_differences_is_a_point():
    assert bootstrap_interval(np.full(30, 0.25)) == (0.25, 0.25)


def test_a_comparison_of_two_models_computed_by_hand():
    first = np.array([[True] * 6 + [False] * 4])
    second = np.array([[True] * 4 + [False] * 3 + [True] * 3])
    found = compare_correct(first, second)
    assert found.difference == pytest.approx(0.1)
    assert (found.first_only, found.second_only) == (2, 3)
    assert found.models_p == 1.0
    assert found.p == 1.0
    assert found.interval[0] < found.images_interval[0] < 0.1 < found.images_interval[1] < found.interval[1]
    assert not found.measured
    assert found.seed_spreads == pytest.approx((significance.DEFAULT_SEED_SPREAD,) * 2)


def test_exchanging_the_sides_changes_the_signs():
    random = np.random.default_rng(0)
    margins = random.normal(2, 2, 800)
    first, second = _runs(random, 3, margins), _runs(random, 1, margins, gap=0.1)
    there, back = compare_correct(first, second), compare_correct(second, first)
    assert there.difference == pytest.approx(-back.difference)
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert there.p == pytest.approx(back.p)
    assert there.measured
    assert there.models_p is None
    # The standard deviation of the single run is that of the recipe with several runs.
    assert there.seed_spreads[0] == there.seed_spreads[1] == seed_spread(first)


def test_a_run_is_not_different_from_itself():
    correct = np.random.default_rng(0).random((1, 200)) < 0.9
    found = compare_correct(correct, correct)
    assert (found.difference, found.p, found.models_p) == (0.0, 1.0, 1.0)
    assert found.images_interval == (0.0, 0.0)


@pytest.mark.parametrize("n", [2, 5, 6, 60])
def test_equal_differences_of_1_have_the_p_value_of_a_sign_test(n):
    found = compare_correct(np.zeros((3, n), bool), np.ones((2, n), bool))
    assert found.difference == 1
    assert found.p == pytest.approx(binomtest(0, n, 0.5).pvalue)
    assert found.interval[1] == 1
    # The interval contains 0 exactly if the test is not significant.
    assert (found.interval[0] <= 0) == (found.p >= 0.05)
    back = compare_correct(np.ones((2, n), bool), np.zeros((3, n), bool))
    assert (back.p, back.interval) == (found.p, (-1, -found.interval[0]))


@pytest.mark.parametrize("n", [3, 6, 60])
def test_equal_differences_below_1_have_larger_p_values(n):
    """Each image is correct in one of three runs of the first side and in two runs of the second side."""
    correct = np.arange(n) % 3 == np.arange(3)[:, None]
    found = compare_correct(correct, ~correct)
    whole = compare_correct(np.zeros((3, n), bool), np.ones((3, n), bool))
    assert found.difference == pytest.approx(1 / 3)
    assert whole.p < found.p <= 1
    assert found.interval[0] < found.difference < found.interval[1]
    assert found.p == pytest.approx(compare_correct(~correct, correct).p)


def test_equal_predictions_have_an_interval_around_0():
    correct = np.ones((3, 20), bool)
    found = compare_correct(correct, correct)
    assert (found.difference, found.p) == (0, 1)
    assert found.interval[0] < 0 < found.interval[1]
    assert mean_interval(correct) == pytest.approx(wilson_interval(20, 20))


def test_the_seed_spread_is_estimated_without_the_variance_over_images():
    """The variance of 200 accuracies has a relative error of 0.1; the bounds have four standard deviations."""
    random = np.random.default_rng(0)
    margins = random.normal(3, 3, 20_000)
    assert seed_spread(_runs(random, 200, margins, spread=0.01)) == pytest.approx(0.01, rel=0.2)
    chance = _runs(random, 200, margins).mean(axis=1).std()
    assert seed_spread(_runs(random, 200, margins)) < 0.65 * chance


def test_without_variance_over_images_the_test_is_welchs_t_test():
    """With very many images only the variance over seeds remains, as in Welch's t-test."""
    random = np.random.default_rng(0)
    accuracies = [random.normal(0.7, 0.05, 5), random.normal(0.76, 0.02, 4)]
    grid = np.random.default_rng(1).permutation(np.linspace(0, 1, 50_000))
    first, second = (grid[None] < side[:, None] for side in accuracies)
    found = compare_correct(first, second)
    assert found.p == pytest.approx(ttest_ind(*accuracies, equal_var=False).pvalue, rel=0.05)


COMPARISONS = 1000
# A larger number is significant with a probability below one in 10,000, at a rate of one in twenty.
MAX_SIGNIFICANT = binom.isf(1e-4, COMPARISONS, 0.05)


def _equal_recipes(runs, spread):
    """Yield simulated pairs of equally good recipes with numbers of runs."""
    random = np.random.default_rng(0)
    for _ in range(COMPARISONS):
        margins = random.normal(3, 3, 2000)
        yield [_runs(random, count, margins, spread=spread) for count in runs]


@pytest.mark.parametrize(("runs", "spread"), [((1, 1), 0.0), ((1, 1), 0.002), ((1, 3), 0.005), ((3, 3), 0.01)])
def test_equally_good_recipes_differ_significantly_in_one_of_twenty_comparisons(runs, spread, monkeypatch):
    monkeypatch.setattr(significance, "_RESAMPLES", 10)
    assert sum(compare_correct(*pair).p < 0.05 for pair in _equal_recipes(runs, spread)) <= MAX_SIGNIFICANT


def test_a_test_without_the_variance_over_seeds_is_significant_too_often():
    """The test above detects such a test: 300 of 1,000 are expected here, and 77 are allowed above."""
    differences = [second.mean(axis=0) - first.mean(axis=0) for first, second in _equal_recipes((3, 3), 0.01)]
    assert sum(ttest_1samp(each, 0).pvalue < 0.05 for each in differences) > MAX_SIGNIFICANT


def test_a_difference_of_1_5_points_is_significant_with_10_000_images(monkeypatch):
    """The power is 89%; fewer than 155 of 200 comparisons have a probability below one in 100,000."""
    monkeypatch.setattr(significance, "_RESAMPLES", 10)
    random = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        margins = random.normal(3, 3, 10_000)
        first, second = _runs(random, 1, margins, spread=0.001), _runs(random, 1, margins, spread=0.001, gap=0.015)
        result = compare_correct(first, second)
        found += result.p < 0.05 and result.difference > 0
    assert found >= 155


def test_several_seeds_have_more_power_than_one_seed(monkeypatch):
    """The power is 24% with one seed and 93% with six seeds; the bounds are six standard deviations away."""
    monkeypatch.setattr(significance, "_RESAMPLES", 10)
    random = np.random.default_rng(0)
    counts = []
    for seeds in (1, 6):
        found = 0
        for _ in range(100):
            margins = random.normal(3, 3, 10_000)
            pair = [_runs(random, seeds, margins, spread=0.001, gap=gap) for gap in (0.0, 0.007)]
            found += compare_correct(*pair).p < 0.05
        counts.append(found)
    assert counts[0] < 50
    assert counts[1] > 75


def test_holms_adjustment_computed_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
