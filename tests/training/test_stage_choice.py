"""Choice between the fitted head alone and the fine-tuned network."""

import numpy as np

from saccade.training.calibration import at_temperature
from saccade.training.stage_choice import fine_tuning_helped

CLASSES = 4


def predictions(n, strength, seed):
    """Labels, and probabilities of a network whose logit of the true class is higher by `strength` on average."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    logits = rng.standard_normal((n, CLASSES))
    logits[np.arange(n), labels] += strength
    raised = np.exp(logits)
    return labels, np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def test_the_better_network_is_kept_whatever_its_temperature():
    for seed in range(10):
        labels, weak = predictions(500, 1.0, seed)
        _, strong = predictions(500, 3.0, seed)
        for temperature in (0.5, 1.0, 3.0):  # label smoothing, for one, makes a network underconfident
            assert fine_tuning_helped(labels, weak, at_temperature(strong, temperature))
            assert not fine_tuning_helped(labels, at_temperature(strong, temperature), weak)


def test_equal_predictions_keep_the_fine_tuned_network():
    labels, some = predictions(30, 1.0, 0)
    assert fine_tuning_helped(labels, some, some)
    assert fine_tuning_helped(labels[:1], some[:1], some[:1])


def test_a_difference_within_a_standard_error_keeps_the_fine_tuned_network():
    """Of two equally good networks with independent errors, the second is kept in about 84% of the draws."""
    kept = []
    for seed in range(200):
        labels, first = predictions(100, 1.5, seed)
        rng = np.random.default_rng(1000 + seed)
        logits = rng.standard_normal((100, CLASSES))
        logits[np.arange(100), labels] += 1.5
        raised = np.exp(logits)
        second = np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)
        kept.append(fine_tuning_helped(labels, first, second))
    assert 0.75 < np.mean(kept) < 0.92  # four standard errors around 84%
