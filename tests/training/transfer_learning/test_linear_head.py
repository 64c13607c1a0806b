"""Linear head against scikit-learn's multinomial logistic regression, on unscaled features."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from saccade.training.transfer_learning import linear_head
from saccade.training.transfer_learning.linear_head import PENALTIES, Examples, choose_penalty, fit_linear_head


def examples(n, classes, seed, features=20, apart=1.0, groups=None):
    """Examples of overlapping classes, with features of very different scales."""
    draw = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centers = apart * np.random.default_rng(9).normal(size=(classes, features))
    values = (draw.normal(size=(n, features)) + centers[labels]) * np.geomspace(0.01, 100, features) + 3
    weights = np.linspace(0.5, 1.5, n, dtype=np.float32)
    return Examples(values.astype(np.float32), labels, weights, np.arange(n) if groups is None else groups)


def chosen_penalty(training, validation, classes, advance=lambda _: None):
    return choose_penalty(training, validation, classes=classes, biased=True, seed=0, advance=advance)


def reference_probabilities(training, penalty, features):
    """Return class probabilities by scikit-learn, fitted to partly standardized features in float64."""
    mean, deviation = (of(training.features.astype(np.float64), axis=0) for of in (np.mean, np.std))
    spread = np.hypot(deviation, 0.5 * np.sqrt((deviation**2).mean()))
    reference = LogisticRegression(C=penalty * 1000 / len(training), max_iter=10_000, tol=1e-6)
    with threadpool_limits(1, "blas"):  # several threads would mostly wait for each other
        reference.fit((training.features - mean) / spread, training.labels, sample_weight=training.weights)
    return reference.predict_proba((features - mean) / spread)


def reference_penalty(pairs):
    """Return the strongest penalty whose log-loss is within one paired standard error of the smallest.

    The weakest penalties are left out: their fits take long, and their losses are the highest.
    """
    all_losses = []
    for penalty in PENALTIES[:-4]:
        losses = []
        for training, held_out in pairs:
            predicted = reference_probabilities(training, penalty, held_out.features)
            true_class = predicted[np.arange(len(held_out)), held_out.labels]
            losses.append(-np.log(np.maximum(true_class, 1e-12)) * held_out.weights / held_out.weights.mean())
        all_losses.append(np.concatenate(losses))
    best = int(np.argmin(np.mean(all_losses, axis=1)))
    assert best < len(all_losses) - 1
    differences = all_losses - all_losses[best]
    errors = differences.std(axis=1) / differences.shape[1] ** 0.5
    return PENALTIES[int(np.argmax(differences.mean(axis=1) <= errors))]


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("penalty", [1e-4, 10**-1.5, 0.3])
def test_the_head_equals_scikit_learns(classes, penalty):
    training = examples(240, classes, 0)
    fresh = examples(100, classes, 2).features
    expected = reference_probabilities(training, penalty, fresh)
    head = fit_linear_head(training, penalty, classes=classes, biased=True)
    assert head.penalty == penalty
    np.testing.assert_allclose(head.probabilities(fresh), expected, atol=0.01)


def test_the_features_are_standardized_in_place():
    """The features of many images would need twice the memory."""
    training = examples(60, 3, 0)
    fit_linear_head(training, 0.1, classes=3, biased=True)
    np.testing.assert_allclose(training.features.mean(axis=0), 0, atol=1e-4)
    deviations = examples(60, 3, 0).features.std(axis=0)
    floor = 0.5 * np.sqrt((deviations**2).mean())
    np.testing.assert_allclose(training.features.std(axis=0), deviations / np.hypot(deviations, floor), rtol=1e-3)


def test_the_choice_of_the_penalty_does_not_change_the_features():
    training, validation = examples(60, 3, 0), examples(30, 3, 1)
    for other in (validation, examples(0, 3, 1)):
        chosen_penalty(training, other, 3)
        np.testing.assert_array_equal(training.features, examples(60, 3, 0).features)
    np.testing.assert_array_equal(validation.features, examples(30, 3, 1).features)


def test_validation_examples_choose_the_penalty_and_weaker_ones_are_skipped():
    training, other = examples(60, 3, 0, apart=0.3), examples(300, 3, 1, apart=0.3)
    done: list[int] = []
    assert chosen_penalty(training, other, 3, done.append) == reference_penalty([(training, other)])
    # After two rises of the loss, the skipped penalties are counted as finished at once.
    assert sum(done) == len(PENALTIES)
    assert max(done) > 1


@pytest.mark.parametrize("classes", [2, 3])
def test_without_validation_examples_a_cross_validation_chooses_the_penalty(classes):
    """The reference is scikit-learn's split into folds, and its logistic regression in each fold."""
    training = examples(60, classes, 3, apart=0.4, groups=np.arange(60) // 3)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    folds = splitter.split(training.labels, training.labels, training.groups)
    expected = reference_penalty([(training.at(fitted), training.at(held_out)) for fitted, held_out in folds])
    assert chosen_penalty(training, examples(0, classes, 1), classes) == expected > PENALTIES[0]


def test_images_of_one_group_are_in_one_fold():
    """Six duplicates of each image in different folds would make the weakest penalty the best."""
    duplicates = np.repeat(np.arange(30), 6)
    single = examples(30, 3, 5, apart=0.2)
    training = Examples(single.features[duplicates], single.labels[duplicates], np.ones(180, np.float32), duplicates)
    for fitted, held_out in linear_head._folds(training, 0):
        assert not set(fitted.groups) & set(held_out.groups)
        assert len(fitted) + len(held_out) == 180
    ungrouped = Examples(training.features, training.labels, training.weights, np.arange(180))
    nothing = examples(0, 3, 1)
    assert chosen_penalty(training, nothing, 3) < chosen_penalty(ungrouped, nothing, 3)


def test_two_classes_of_ten_images_are_separated():
    """Of 1,280 features, as of photographs, few tell the classes apart."""
    training, fresh = (examples(n, 2, seed, features=1280, apart=0.4) for n, seed in ((20, 0), (200, 1)))
    penalty = chosen_penalty(training, examples(0, 2, 1), 2)
    head = fit_linear_head(training, penalty, classes=2, biased=True)
    correct = head.probabilities(fresh.features).argmax(axis=1) == fresh.labels
    assert correct.mean() > 0.9


@pytest.mark.parametrize(("n", "grouped"), [(1, True), (2, False), (2, True), (3, False), (6, False), (6, True)])
def test_few_images_of_each_class_are_enough(n, grouped):
    training = examples(n, 2, 0, groups=np.zeros(n, np.int64) if grouped else None)
    penalty = chosen_penalty(training, examples(0, 2, 1), 2)
    head = fit_linear_head(training, penalty, classes=2, biased=True)
    assert np.isfinite(head.probabilities(examples(4, 2, 1).features)).all()


def test_sample_weights_change_the_head():
    training = examples(120, 2, 0, apart=0.2)
    heavy = Examples(
        training.features.copy(), training.labels, np.array([1, 9], np.float32)[training.labels], training.groups
    )
    fresh = examples(200, 2, 1, apart=0.2).features
    counts = [
        (fit_linear_head(fitted, 0.1, classes=2, biased=True).probabilities(fresh).argmax(axis=1) == 1).sum()
        for fitted in (training, heavy)
    ]
    assert counts[1] > counts[0] + 20


def test_a_class_without_training_images_is_never_predicted():
    head = fit_linear_head(examples(60, 2, 0), 0.1, classes=3, biased=True)
    predicted = head.probabilities(examples(20, 2, 2).features)
    assert predicted.shape == (20, 3)
    assert predicted[:, 2].max() < 1e-3
