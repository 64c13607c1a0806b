"""What to try next: each piece of advice follows from numbers, and from good numbers none does."""

from dataclasses import replace

import numpy as np

from saccade.evaluation.metrics import measure
from saccade.evaluation.next_steps import Numbers, next_steps
from saccade.runs.records import Calibration, EpochRecord

NAMES = ("cat", "deer", "dog")


def measured(wrong, n=3000):
    """Metrics of three classes of n/3 pictures; `wrong` says how many of a class are taken for another."""
    labels = np.arange(n) % 3
    probabilities = np.full((n, 3), 0.01)
    predicted = labels.copy()
    for (true, taken), count in wrong.items():
        predicted[np.flatnonzero(labels == true)[:count]] = taken
    probabilities[np.arange(n), predicted] = 0.98
    return measure(labels, probabilities)


def epoch(number, accuracy, validation):
    return EpochRecord(
        epoch=number, phase="plain", steps=1, learning_rate=0.1, loss=1.0, accuracy=accuracy, validation_loss=1.0,
        validation_accuracy=validation,
    )  # fmt: skip


GOOD = Numbers(
    path="runs/a",
    source="photos",
    class_names=NAMES,
    training_pictures=(1000, 1000, 1000),
    metrics=measured({(0, 1): 10, (1, 2): 10, (2, 0): 10}),
    n=3000,
    confident_mistakes=0,
    history=[epoch(n + 1, 0.98, 0.985) for n in range(8)],
    calibration=Calibration(temperature=1.1, pictures=300, log_loss_before=0.1, log_loss_after=0.1),
    refused=0,
)


def reasons(**changes):
    return [step.reason for step in next_steps(replace(GOOD, **changes))]


def test_good_numbers_ask_for_nothing_but_the_most_confused_pair():
    assert [reason.split(" ", 1)[1].split("(")[0] for reason in reasons()] == ["of all mistakes "]
    assert reasons(metrics=measured({})) == []


def test_a_pair_of_classes_with_many_mistakes_is_named():
    (first, *_) = reasons(metrics=measured({(0, 2): 60, (2, 0): 20, (1, 0): 20}))
    assert "80% of all mistakes (80 of 100) are between 'cat' and 'dog'" in first


def test_few_training_pictures_ask_for_a_transfer_unless_it_was_one():
    weak = measured({(0, 1): 200, (1, 2): 200, (2, 0): 200})
    (told,) = [
        step for step in next_steps(replace(GOOD, metrics=weak, training_pictures=(40, 60, 50)))
        if "50 training pictures of the median class" in step.reason
    ]  # fmt: skip
    assert told.command == "saccade train photos --from EfficientNetV2B0"
    transferred = [epoch(1, 0.9, 0.9).model_copy(update={"phase": "head"}), *GOOD.history[1:]]
    for changes in ({"metrics": weak}, {"training_pictures": (50, 50, 50)}):
        assert not [reason for reason in reasons(**changes) if "began from nothing" in reason]
    assert not [
        reason
        for reason in reasons(metrics=weak, training_pictures=(50, 50, 50), history=transferred)
        if "began from nothing" in reason
    ]


def test_a_validation_accuracy_that_still_rises_asks_for_more_epochs():
    steps = next_steps(replace(GOOD, history=[epoch(n + 1, 0.9, 0.8 + n / 100) for n in range(8)]))
    (step,) = [step for step in steps if step.command.startswith("saccade train --extend runs/a --epochs +2")]
    assert "still rose by 2.0%" in step.reason


def test_what_does_not_carry_over_is_told_with_both_accuracies():
    assert any("99.0% of the training pictures and on 80.0%" in reason
               for reason in reasons(history=[epoch(1, 0.99, 0.8)]))  # fmt: skip


def test_a_class_that_is_found_less_often_beyond_chance_is_named():
    weak = measured({(1, 0): 300, (0, 1): 10})
    (told,) = [step for step in next_steps(replace(GOOD, metrics=weak)) if "'deer' is found in 70.0%" in step.reason]
    assert told.command == ""
    few = replace(GOOD, metrics=weak, training_pictures=(1000, 200, 1000))
    (told,) = [step for step in next_steps(few) if "'deer' is found" in step.reason]
    assert "200 training pictures, the median class 1,000" in told.reason
    assert "class_weights=true" in told.command
    assert not any("is found in" in reason for reason in reasons(metrics=measured({(1, 0): 12, (0, 1): 10})))


def test_few_test_pictures_doubtful_labels_and_unreadable_files():
    assert any("With 60 test pictures" in reason for reason in reasons(metrics=measured({(0, 1): 6}, n=60), n=60))
    assert any("7 answers are wrong at a confidence of 95%" in reason for reason in reasons(confident_mistakes=7))
    assert any("3 pictures could not be read" in reason for reason in reasons(refused=3))


def test_a_run_without_validation_pictures_is_asked_for_some_if_its_confidence_is_off():
    off = measured({(0, 1): 300, (1, 2): 300})
    assert any("no validation pictures" in reason for reason in reasons(calibration=None, metrics=off))
    assert not any("no validation pictures" in reason for reason in reasons(metrics=off))
