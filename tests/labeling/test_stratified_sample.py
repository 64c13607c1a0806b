"""The stratified sample and its interval: against enumeration for small heaps, by simulation elsewhere.

A simulation of m estimates fails where its count would have a probability below 1 in 10,000 at a coverage of 95%.
"""

import functools
import itertools

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom, hypergeom

from saccade.evaluation.wilson_interval import wilson_interval
from saccade.labeling.stratified_sample import choose_strata, interval_of_wrong


def limits(sizes, samples, wrong, confidence=0.95):
    found = interval_of_wrong(np.array(sizes), np.array(samples), np.array(wrong), confidence)
    return found.low, found.estimate, found.high


@pytest.mark.parametrize(("heap", "sample"), [(2000, 200), (250, 200), (37, 20), (9, 1)])
def test_one_stratum_has_the_exact_interval_of_the_hypergeometric_distribution(heap, sample):
    for wrong in {0, 1, sample // 7, sample // 2, sample - 1, sample}:
        possible = np.arange(wrong, heap - sample + wrong + 1)
        high = possible[hypergeom.cdf(wrong, heap, possible, sample) > 0.025].max()
        low = possible[hypergeom.sf(wrong - 1, heap, possible, sample) > 0.025].min()
        found = limits([heap], [sample], [wrong])
        assert found == pytest.approx((low / heap, wrong / sample, high / heap), abs=1e-12)


@pytest.mark.parametrize(
    ("sizes", "samples"), [((14, 9), (6, 5)), ((20, 6), (5, 6)), ((30, 12), (8, 8))], ids=["both", "one whole", "more"]
)
def test_coverage_over_all_heaps_of_two_strata_and_all_samples(sizes, samples):
    """All numbers of wrong images and all outcomes: the exact coverage of each heap."""
    intervals = {
        wrong: limits(sizes, samples, wrong) for wrong in itertools.product(*(range(each + 1) for each in samples))
    }
    outcomes, probabilities = (
        np.array(list(intervals)),
        [
            hypergeom.pmf(np.arange(sample + 1), size, np.arange(size + 1)[:, None], sample)
            for size, sample in zip(sizes, samples, strict=True)
        ],
    )
    low, high = np.array([(each[0], each[2]) for each in intervals.values()]).T
    coverage = []
    for truth in itertools.product(*(range(each + 1) for each in sizes)):
        fraction = sum(truth) / sum(sizes)
        covers = (low - 1e-9 <= fraction) & (fraction <= high + 1e-9)
        probability = [
            table[wrong, outcomes[:, number]]
            for number, (table, wrong) in enumerate(zip(probabilities, truth, strict=True))
        ]
        coverage.append(float((probability[0] * probability[1])[covers].sum()))
    assert np.mean(coverage) >= 0.95
    assert min(coverage) >= 0.9


def test_the_interval_of_correct_images_mirrors_that_of_wrong_images():
    sizes, samples, wrong = np.array([900, 500, 300]), np.array([60, 70, 70]), np.array([1, 8, 20])
    low, estimate, high = limits(sizes, samples, wrong)
    assert limits(sizes, samples, samples - wrong) == pytest.approx((1 - high, 1 - estimate, 1 - low), abs=0.002)
    assert estimate == pytest.approx((900 / 60 + 8 * 500 / 70 + 20 * 300 / 70) / 1700)
    wider = limits(sizes, samples, wrong, confidence=0.99)
    assert wider[0] < low < estimate < high < wider[2]


def test_strata_that_are_known_as_a_whole_or_not_at_all():
    assert limits([5, 7, 30], [5, 7, 30], [0, 3, 30]) == pytest.approx((33 / 42,) * 3)
    low, estimate, high = limits([100, 900], [20, 0], [2, 0])
    alone = limits([100], [20], [2])
    assert (low, estimate, high) == pytest.approx((alone[0] / 10, 0.1, (100 * alone[2] + 900) / 1000))


def doubts(seed, size=2000, mean=-3.0, spread=2.0):
    """Return estimated probabilities of an error such as those of a network."""
    return expit(np.random.default_rng(seed).normal(mean, spread, size))


@pytest.mark.parametrize("seed", range(3))
def test_each_image_may_be_drawn_and_uncertain_ones_more_often(seed):
    doubt = doubts(seed)
    strata = choose_strata(doubt, 200)
    drawn = strata.draw(np.random.default_rng(seed))
    assert len(set(drawn.tolist())) == 200
    assert np.bincount(strata.stratum[drawn]).tolist() == strata.samples.tolist()
    assert strata.probabilities.sum() == pytest.approx(200)
    assert strata.probabilities.min() > 0.3 * 200 / 2000
    order = np.argsort(doubt)
    assert (np.diff(strata.stratum[order]) >= 0).all()
    assert strata.probabilities[order[-1]] > 1.5 * strata.probabilities[order[0]]
    # Where the confidences carry no information, the variance is at most 15% above that of a uniform sample.
    shares = strata.sizes / 2000
    assert (shares**2 / strata.samples).sum() * 200 <= 1.15


@pytest.mark.parametrize(
    "doubt",
    [np.zeros(300), np.full(300, 0.5), np.repeat([0.0, 1.0], 150), np.repeat([1e-12, 0.4], [297, 3]), np.full(1, 0.2)],
    ids=["certain", "equal", "extreme", "few uncertain", "one image"],
)
@pytest.mark.parametrize("sample", [1, 50, 200, 300])
def test_unusual_confidences_and_sizes(doubt, sample):
    sample = min(sample, len(doubt))
    strata = choose_strata(doubt, sample)
    drawn = strata.draw(np.random.default_rng(0))
    assert len(set(drawn.tolist())) == sample
    assert (strata.samples >= 1).all()
    assert (strata.samples <= strata.sizes).all()
    low, estimate, high = limits(strata.sizes, strata.samples, np.zeros(len(strata.sizes), np.int64))
    assert low == estimate == 0
    assert high < 1 or sample == 1 < len(doubt)


@functools.cache
def width_of_uniform_sample(heap, sample, wrong):
    low, _, high = limits([heap], [sample], [wrong])
    return high - low


def errors(doubt, points, kind):
    """Return true probabilities of an error, whose mean is higher than the estimated ones by a number of points."""
    if kind == "anywhere":
        return doubt + (1 - doubt) * points / (1 - doubt).mean()
    steps = np.linspace(0, 6, 601)
    means = np.array([expit(logit(doubt) + step).mean() for step in steps])
    return expit(logit(doubt) + steps[np.argmin(np.abs(means - doubt.mean() - points))])


def pooled(strata, drawn, wrong):
    """Return the interval of the wrong method that takes the sample for a uniform one."""
    return wilson_interval(int(wrong[drawn].sum()), len(drawn))


def stratified(strata, drawn, wrong):
    found = np.bincount(strata.stratum[drawn], wrong[drawn], minlength=len(strata.sizes)).astype(np.int64)
    low, _, high = limits(strata.sizes, strata.samples, found)
    return low, high


@pytest.mark.parametrize(
    ("points", "kind", "method", "is_valid"),
    [
        (0.0, "as confidence", stratified, True),
        (0.05, "as confidence", stratified, True),
        (0.15, "as confidence", stratified, True),
        (0.15, "anywhere", stratified, True),
        (0.0, "as confidence", pooled, False),
    ],
)
def test_coverage_and_width_where_the_accuracy_is_that_of_the_confidence_and_below(points, kind, method, is_valid):
    rng, estimates, heap, sample = np.random.default_rng(1), 80, 600, 100
    covered, widths, uniform = 0, [], []
    doubt = doubts(0, heap)
    strata, true = choose_strata(doubt, sample), errors(doubt, points, kind)
    for _ in range(estimates):
        wrong = rng.random(heap) < true
        low, high = method(strata, strata.draw(rng), wrong)
        covered += low - 1e-9 <= wrong.mean() <= high + 1e-9
        widths.append(high - low)
        found = int(rng.hypergeometric(wrong.sum(), heap - wrong.sum(), sample))
        uniform.append(width_of_uniform_sample(heap, sample, found))
    assert (covered >= binom.ppf(1e-4, estimates, 0.95)) == is_valid
    if is_valid:
        assert np.mean(widths) <= (1.1 if points else 0.9) * np.mean(uniform)
