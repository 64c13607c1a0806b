"""The promise on the error of labels: exact where it can be computed, by simulation elsewhere, and wrong methods fail.

A promise of confidence 1 - alpha may be broken in a fraction alpha of the samples. A simulation of m samples fails the
test where its count would have a probability below 1 in 10,000 at exactly alpha.
"""

import itertools

import numpy as np
import pytest
from scipy.stats import beta, binom, hypergeom
from sklearn.linear_model import LogisticRegression

from saccade.labeling.promise import (
    Promise,
    allowed_mistakes,
    best_sample,
    expected_answers,
    kept_labels,
    smallest_sample,
)


def remaining(promise, order_is_wrong, positions):
    """Return the number of wrong labels that remain after a sample at positions of the frozen order."""
    left = len(order_is_wrong)
    kept = kept_labels(promise, heap=left, left=left, positions=positions, wrong=order_is_wrong[positions])
    unsampled = order_is_wrong.copy()
    unsampled[positions] = False
    return int(unsampled[: kept.first].sum())


@pytest.mark.parametrize("sample", [1, 3, 5, 7])
@pytest.mark.parametrize("max_error", [0.0, 0.13, 0.3])
def test_every_heap_of_eight_images_and_every_sample(sample, max_error):
    """All 256 orders of right and wrong labels, all samples: the exact probability of a broken promise."""
    promise = Promise(max_error, 0.8)
    worst = 0.0
    for bits in itertools.product([False, True], repeat=8):
        wrong = np.array(bits)
        broken = [
            remaining(promise, wrong, np.array(positions)) > promise.allowed(8)
            for positions in itertools.combinations(range(8), sample)
        ]
        worst = max(worst, float(np.mean(broken)))
    assert worst <= promise.alpha


@pytest.mark.parametrize(("heap", "left", "sample"), [(1000, 1000, 200), (1000, 700, 300), (3000, 2500, 150)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_allowed_mistakes_are_the_largest_with_the_risk(heap, left, sample, confidence):
    promise = Promise(0.05, confidence)
    c, allowed = allowed_mistakes(promise, heap=heap, left=left, sample=sample), promise.allowed(heap)

    def risk(mistakes):
        """Return the largest probability over all numbers of wrong images, summed by hand."""
        return max(
            hypergeom.cdf(min(mistakes, wrong - allowed - 1), left, wrong, sample)
            for wrong in range(allowed + 1, min(left, allowed + 40 * (mistakes + 2)) + 1)
        )

    assert c >= 0
    assert risk(c) <= promise.alpha < risk(c + 1)


def tight_heap(promise, heap, sample):
    """Return a heap whose wrong labels are as many as the promise hardly detects, the wrong ones among the certain."""
    c = allowed_mistakes(promise, heap=heap, left=heap, sample=sample)
    wrong = np.zeros(heap, bool)
    wrong[np.random.default_rng(1).permutation(heap // 2)[: promise.allowed(heap) + 1 + c]] = True
    return wrong


def count_broken(method, wrong, sample, draws, allowed, seed=0):
    rng, broken = np.random.default_rng(seed), 0
    for _ in range(draws):
        positions = rng.permutation(len(wrong))[:sample]
        kept = method(positions, wrong[positions])
        unsampled = wrong.copy()
        unsampled[positions] = False
        broken += int(unsampled[:kept].sum()) > allowed
    return broken


def test_on_a_tight_heap_the_promise_is_broken_as_rarely_as_it_may_and_not_never():
    promise, heap, sample, draws = Promise(0.05, 0.95), 2000, 300, 4000
    wrong = tight_heap(promise, heap, sample)
    broken = count_broken(exact(promise, heap), wrong, sample, draws, promise.allowed(heap))
    assert broken <= binom.isf(1e-4, draws, promise.alpha)
    assert broken >= 0.01 * draws  # a method that never breaks wastes answers


@pytest.mark.parametrize("seed", range(3))
def test_random_and_overconfident_orders(seed):
    """The order is random, or the wrong labels are the most certain ones: the promise holds, at a higher price."""
    rng = np.random.default_rng(seed)
    promise, heap, sample, draws = Promise(0.05, 0.95), 1500, 250, 1000
    wrong = rng.random(heap) < 0.15
    for order in (wrong, np.sort(wrong)[::-1].copy(), np.sort(wrong)):
        broken = count_broken(exact(promise, heap), order, sample, draws, promise.allowed(heap), seed)
        assert broken <= binom.isf(1e-4, draws, promise.alpha)


def plug_in(max_error, heap):
    """Return the wrong method without a bound: the error of the sample is taken as that of the heap."""

    def method(positions, found):
        order = np.argsort(positions)
        errors = np.cumsum(found[order]) / len(positions) * heap
        above = np.flatnonzero(errors > max_error * heap)
        return int(positions[order][above[0]]) if len(above) else heap

    return method


def watched(max_error, heap, alpha, sample, every=10):
    """Return the wrong method that looks at Clopper-Pearson's bound of 95% after every ten answers, and then stops.

    The model's labels all stand at the first look with a low bound; without one, a person labels everything.
    """
    looks = np.arange(every, sample + 1, every)
    most = [max((k for k in range(n) if beta.ppf(1 - alpha, k + 1, n - k) <= max_error), default=-1) for n in looks]

    def method(_, found):
        return heap if (np.cumsum(found)[looks - 1] <= most).any() else 0

    return method


def exact(promise, heap):
    return lambda positions, found: kept_labels(promise, heap=heap, left=heap, positions=positions, wrong=found).first


@pytest.mark.parametrize(
    ("method", "errors", "sample"),
    [(plug_in(0.05, 20_000), 0.06, 300), (watched(0.05, 20_000, 0.05, 600), 0.052, 600)],
    ids=["plug-in estimate", "Clopper-Pearson watched"],
)
def test_the_same_simulation_rejects_wrong_methods(method, errors, sample):
    draws, heap = 1000, 20_000
    wrong = np.zeros(heap, bool)
    wrong[np.random.default_rng(2).permutation(heap)[: int(errors * heap)]] = True
    assert count_broken(method, wrong, sample, draws, 1000) > binom.isf(1e-4, draws, 0.05)
    right = exact(Promise(0.05, 0.9), heap)  # with the whole risk of 5% in one attempt
    assert count_broken(right, wrong, sample, draws, 1000) <= binom.isf(1e-4, draws, 0.05)


@pytest.mark.parametrize("with_sample", [True, False])
def test_answers_of_the_sample_must_not_fit_the_model_that_they_check(with_sample):
    """A model of more features than answers repeats all answers that it was fitted to, and so those of the sample."""
    heap, before, sample, draws = 800, 60, 120, 60
    promise, rng = Promise(0.05, 0.9), np.random.default_rng(3)
    classes = rng.integers(2, size=heap)
    features = rng.normal(size=(heap, 200))
    features[:, 0] += 1.5 * (2 * classes - 1)
    broken = 0
    for _ in range(draws):
        drawn = before + rng.permutation(heap - before)[:sample]
        fitted = np.concatenate([np.arange(before), drawn if with_sample else []]).astype(int)
        model = LogisticRegression(C=100).fit(features[fitted], classes[fitted])
        certainty = model.predict_proba(features[before:]).max(axis=1)
        order = before + np.argsort(-certainty, kind="stable")
        wrong = model.predict(features[order]) != classes[order]
        positions = np.flatnonzero(np.isin(order, drawn))
        kept = kept_labels(promise, heap=heap, left=len(order), positions=positions, wrong=wrong[positions])
        wrong[positions] = False
        broken += int(wrong[: kept.first].sum()) > promise.allowed(heap)
    assert (broken > binom.isf(1e-4, draws, promise.alpha)) == with_sample


def test_attempts_share_the_risk():
    shares = [Promise(0.05, 0.95, attempt).alpha for attempt in range(1, 40)]
    assert shares[:2] == pytest.approx([0.025, 0.0125])
    assert sum(shares) < 0.05 + 1e-12


def test_samples_that_are_too_small_or_whole():
    promise = Promise(0.05, 0.95)
    nothing = kept_labels(promise, heap=1000, left=1000, positions=np.arange(20), wrong=np.zeros(20, bool))
    assert (nothing.first, nothing.allowed) == (0, -1)
    whole = kept_labels(promise, heap=1000, left=300, positions=np.arange(290), wrong=np.ones(290, bool))
    assert whole.first == 300  # at most ten wrong labels are left, and fifty are allowed


@pytest.mark.parametrize("heap", [10, 90, 253, 4000])
def test_the_smallest_sample_is_that_of_the_hypergeometric_distribution(heap):
    promise = Promise(0.05, 0.95)
    n, wrong = smallest_sample(promise, heap=heap), promise.allowed(heap) + 1
    assert hypergeom.pmf(0, heap, wrong, n) <= promise.alpha or heap - n < wrong
    assert hypergeom.pmf(0, heap, wrong, n - 1) > promise.alpha


def test_the_expected_number_of_answers_is_that_of_a_simulation():
    rng = np.random.default_rng(0)
    promise, left = Promise(0.05, 0.95), 2000
    probability = np.sort(rng.beta(0.3, 3, left))
    sample, expected = best_sample(promise, heap=left, probability_wrong=probability)
    asked = []
    for _ in range(300):
        wrong = rng.random(left) < probability
        positions = rng.permutation(left)[:sample]
        kept = kept_labels(promise, heap=left, left=left, positions=positions, wrong=wrong[positions])
        asked.append(sample + int((~np.isin(np.arange(kept.first, left), positions)).sum()))
    assert np.mean(asked) == pytest.approx(expected, rel=0.1)
    for other in (sample // 3, min(left, 3 * sample)):
        assert expected_answers(promise, heap=left, probability_wrong=probability, sample=other) >= expected
