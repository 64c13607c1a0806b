"""Linear head against scikit-learn's multinomial logistic regression, on unscaled features."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from saccade.training.transfer_learning.linear_probe import Examples, fit_linear_head


def examples(n, classes, seed, features=20, apart=1.0):
    """Examples of overlapping classes, with features of very different scales."""
    draw = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centers = apart * np.random.default_rng(9).normal(size=(classes, features))
    values = (draw.normal(size=(n, features)) + centers[labels]) * np.geomspace(0.01, 100, features) + 3
    return Examples(values.astype(np.float32), labels, np.linspace(0.5, 1.5, n, dtype=np.float32))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("validated", [True, False])
def test_the_head_equals_scikit_learns_at_the_chosen_penalty(classes, validated):
    training, other = examples(240, classes, 0), examples(60 if validated else 0, classes, 1)
    head = fit_linear_head(training, other, classes=classes, biased=True, seed=0, advance=lambda _: None)
    mean, spread = (of(training.features.astype(np.float64), axis=0) for of in (np.mean, np.std))
    reference = LogisticRegression(C=head.penalty * 1000 / 240, max_iter=10_000, tol=1e-8)
    reference.fit((training.features - mean) / spread, training.labels, sample_weight=training.weights)
    fresh = examples(100, classes, 2).features
    expected = reference.predict_proba((fresh - mean) / spread)
    np.testing.assert_allclose(head.probabilities(fresh), expected, atol=0.01)


def test_the_chosen_penalty_minimizes_the_log_loss_and_weaker_ones_are_skipped():
    training, other = examples(60, 3, 0, apart=0.3), examples(300, 3, 1, apart=0.3)
    done: list[int] = []
    head = fit_linear_head(training, other, classes=3, biased=True, seed=0, advance=done.append)
    mean, spread = training.features.mean(axis=0), training.features.std(axis=0)
    losses = {}
    for penalty in 10.0 ** np.arange(-5, 2.1, 0.5):
        reference = LogisticRegression(C=penalty * 1000 / 60, max_iter=10_000)
        reference.fit((training.features - mean) / spread, training.labels, sample_weight=training.weights)
        predicted = reference.predict_proba((other.features - mean) / spread)
        losses[penalty] = -np.average(
            np.log(np.maximum(predicted[np.arange(300), other.labels], 1e-12)), weights=other.weights
        )
    assert head.penalty == pytest.approx(min(losses, key=losses.__getitem__))
    # After two rises of the loss, the skipped penalties are counted as finished at once.
    assert sum(done) == len(losses)
    assert max(done) > 1


def test_a_class_without_training_images_is_never_predicted():
    training = examples(60, 2, 0)
    head = fit_linear_head(training, examples(0, 2, 1), classes=3, biased=True, seed=0, advance=lambda _: None)
    predicted = head.probabilities(examples(20, 2, 2).features)
    assert predicted.shape == (20, 3)
    assert predicted[:, 2].max() < 1e-3
