import numpy as np
import pytest
from scipy.stats import binom

from saccade.evaluation.by_value import score_by_value

SIMULATIONS = 1000


def drawn(rng, accuracies, n=2000):
    """Return the camera of each of n images, in equal parts, and whether each prediction is correct."""
    camera = np.arange(n) % len(accuracies)
    return [f"camera {number}" for number in camera], rng.random(n) < np.array(accuracies)[camera]


def test_the_scores_are_those_of_the_images_of_each_value():
    scores = score_by_value(["b", "a", "b", "", "b"], np.array([True, False, True, True, False]))
    assert [(score.value, score.n, score.num_correct) for score in scores] == [("", 1, 1), ("a", 1, 0), ("b", 3, 2)]
    assert [score.others_accuracy for score in scores] == [0.5, 0.75, 0.5]
    low, high = scores[2].accuracy_interval
    assert low < 2 / 3 < high
    assert not any(score.differs for score in scores)


def test_one_value_alone_can_not_differ():
    (score,) = score_by_value(["a"] * 10, np.arange(10) < 9)
    assert (score.accuracy, score.others_accuracy, score.adjusted_p, score.differs) == (0.9, None, 1.0, False)


@pytest.mark.parametrize("values", [2, 5])
def test_without_a_difference_hardly_any_value_is_found_to_differ(values):
    rng = np.random.default_rng(values)
    found = sum(
        any(score.differs for score in score_by_value(*drawn(rng, [0.85] * values))) for _ in range(SIMULATIONS)
    )
    assert found <= binom.isf(1e-4, SIMULATIONS, 0.05)  # 5% less chance
    assert found <= 0.05 * SIMULATIONS  # a discrete test on 2,000 images stays below


def test_ten_points_less_in_a_quarter_of_the_images_are_found():
    rng = np.random.default_rng(0)
    found, wrong_side = 0, 0
    for _ in range(SIMULATIONS):
        scores = score_by_value(*drawn(rng, [0.75, 0.85, 0.85, 0.85]))
        found += scores[0].differs
        wrong_side += scores[0].differs and scores[0].accuracy > (scores[0].others_accuracy or 0)
    assert found >= 0.95 * SIMULATIONS
    assert wrong_side == 0
