"""What to try next: sentences that follow from a run's own numbers, each with what to type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saccade.evaluation.metrics import Metrics, wilson_interval
from saccade.recipes import Recipe
from saccade.runs.records import Calibration, EpochRecord
from saccade.runs.run import Run
from saccade.runs.training_command import data_words, source_note, training_command
from saccade.sanitize import command_line, plural

_MOST = 6
# Of the mistakes, a share of one pair of classes that is worth a look at that pair alone.
_LARGE_SHARE = 0.15
_LARGE_GAP = 0.05
_WIDE_INTERVAL = 0.04
_STILL_RISING = 0.003
_FEW_IMAGES = 100
# Up to 200 training images a class, transfers were measured to win (docs/performance.md).
_FEW_OF_A_CLASS = 300
_GOOD = 0.95
_MISCALIBRATED = 0.03
_CONFIDENT = 0.95
_LARGE_SHIFT = 0.15
_SOME_SMOOTHING = 0.1
_HELD_OUT = 0.1


@dataclass(frozen=True)
class NextStep:
    """One thing to try.

    Attributes:
        reason: what in the numbers speaks for it.
        action: what to do.
        command: what to type, or "".
    """

    reason: str
    action: str
    command: str = ""


@dataclass(frozen=True)
class Numbers:
    """What the steps follow from.

    Attributes:
        run: whose they are; of it the recipe, the data and the source are named in commands.
        class_names: in the order of the labels.
        training_images: of each class, in the same order.
        metrics: on the test images.
        n: test images.
        confident_mistakes: incorrect predictions of at least 95% confidence.
        history: a record per epoch.
        calibration: of the run, if it is calibrated.
        unreadable: images of the data that can't be read.
    """

    run: Run
    class_names: tuple[str, ...]
    training_images: Sequence[int]
    metrics: Metrics
    n: int
    confident_mistakes: int
    history: Sequence[EpochRecord]
    calibration: Calibration | None
    unreadable: int


def next_steps(numbers: Numbers) -> list[NextStep]:
    """Up to six things to try, the most promising first; none where the numbers speak for nothing."""
    rules = (_confused_pair, _few_training_images, _still_rising, _overfitted, _weakest_class, _doubtful_labels,
             _few_test_images, _uncalibrated, _unreadable)  # fmt: skip
    return [step for rule in rules for step in rule(numbers)][:_MOST]


def _confused_pair(numbers: Numbers) -> Iterator[NextStep]:
    incorrect = numbers.metrics.confusion_matrix.copy()
    np.fill_diagonal(incorrect, 0)
    mistakes, pairs = int(incorrect.sum()), np.triu(incorrect + incorrect.T)
    if not mistakes:
        return
    first, second = np.unravel_index(int(pairs.argmax()), pairs.shape)
    share = pairs[first, second] / mistakes
    if share >= _LARGE_SHARE and len(incorrect) > 2:
        names = numbers.class_names[first], numbers.class_names[second]
        yield NextStep(
            f"{share:.0%} of all mistakes ({pairs[first, second]:,} of {mistakes:,}) are between '{names[0]}' and "
            f"'{names[1]}'.",
            "Look at these images in the matrix: if people disagree on them too, the two classes may want to be one, "
            "or larger images; else more training images of both will help most.",
        )


def _few_training_images(numbers: Numbers) -> Iterator[NextStep]:
    typical = float(np.median(numbers.training_images))
    transferred = bool(numbers.history) and numbers.history[0].phase == "head"
    if typical < _FEW_OF_A_CLASS and numbers.metrics.accuracy < _GOOD and not transferred:
        yield NextStep(
            f"It had {typical:,.0f} training images of the median class, and began from nothing.",
            "Go on from a network that has learned from many others: a run of yours, or one of keras.applications.",
            command_line("train", *data_words(numbers.run), "--from", "EfficientNetV2B0"),
        )


def _still_rising(numbers: Numbers) -> Iterator[NextStep]:
    validated = [record.validation_accuracy for record in numbers.history if record.validation_accuracy is not None]
    if len(validated) >= 4 and validated[-1] == max(validated):
        gain = validated[-1] - max(validated[: -max(1, len(validated) // 4)])
        if gain > _STILL_RISING:
            more = max(2, len(numbers.history) // 4)
            yield NextStep(
                f"In the last quarter of the epochs the validation accuracy still rose by {100 * gain:.1f} points.",
                "Train it further.",
                command_line("train", "--extend", numbers.run.path, "--epochs", f"+{more}", "--schedule", "anneal"),
            )


def _overfitted(numbers: Numbers) -> Iterator[NextStep]:
    last = numbers.history[-1] if numbers.history else None
    if last is None or last.validation_accuracy is None:
        return
    gap = last.accuracy - last.validation_accuracy
    if gap > _LARGE_GAP:
        yield _trained_anew(
            numbers,
            f"It is right on {last.accuracy:.1%} of the training images and on {last.validation_accuracy:.1%} of the "
            "validation images: what it learns does not carry over.",
            "More training images, or more epochs with augmentation, will do more than a larger network.",
            _more_augmentation(numbers.run.recipe),
        )


def _more_augmentation(recipe: Recipe) -> dict[str, Any]:
    """Recipe keys that give a training as many augmented epochs again, or its first ones, and more of a change."""
    return {
        "augmented_epochs": 2 * recipe.augmented_epochs or recipe.plain_epochs,
        "translate": max(recipe.translate, _LARGE_SHIFT),
        "label_smoothing": max(recipe.label_smoothing, _SOME_SMOOTHING),
    }


def _trained_anew(numbers: Numbers, reason: str, action: str, changes: Mapping[str, Any]) -> NextStep:
    """The step to train once more, as the run was trained but for these recipe keys."""
    note = source_note(numbers.run)
    return NextStep(reason, f"{action} {note}".strip(), training_command(numbers.run, changes))


def _weakest_class(numbers: Numbers) -> Iterator[NextStep]:
    scores = numbers.metrics.per_class
    counted = [label for label, score in enumerate(scores) if score.num_images]
    weakest = min(counted, key=lambda label: scores[label].recall)
    score, average = scores[weakest], numbers.metrics.balanced_accuracy
    _, high = wilson_interval(round(score.recall * score.num_images), score.num_images)
    if high >= average:  # it may be chance
        return
    own, typical = numbers.training_images[weakest], float(np.median(numbers.training_images))
    fewer = own < 0.7 * typical
    reason = (
        f"'{numbers.class_names[weakest]}' is found in {score.recall:.1%} of its {score.num_images:,} "
        f"{plural(score.num_images, 'image')}, a class on average in {average:.1%}."
    )
    if not fewer:
        yield NextStep(reason, "Collect more, and more different, images of it.")
        return
    reason += f" It has {own:,} training images, the median class {typical:,.0f}."
    if numbers.run.recipe.class_weights:
        yield NextStep(reason, "Collect more images of it: the classes are weighed already.")
        return
    yield _trained_anew(numbers, reason, "Collect more images of it, or weigh the classes.", {"class_weights": True})


def _doubtful_labels(numbers: Numbers) -> Iterator[NextStep]:
    if numbers.confident_mistakes >= 5:
        yield NextStep(
            f"{numbers.confident_mistakes:,} predictions are incorrect at a confidence of {_CONFIDENT:.0%} or more.",
            "Look at the most confident mistakes: often it is the label that is wrong.",
        )


def _few_test_images(numbers: Numbers) -> Iterator[NextStep]:
    low, high = numbers.metrics.accuracy_interval
    if high - low > _WIDE_INTERVAL:
        wanted = round(numbers.n * ((high - low) / _WIDE_INTERVAL) ** 2, -2)
        yield NextStep(
            f"With {numbers.n:,} test images the accuracy is only known to lie between {low:.1%} and {high:.1%}.",
            f"To tell smaller improvements from chance, test on some {max(wanted, _FEW_IMAGES):,.0f} images.",
        )


def _uncalibrated(numbers: Numbers) -> Iterator[NextStep]:
    error = numbers.metrics.expected_calibration_error
    if numbers.calibration is None and error > _MISCALIBRATED:
        yield _trained_anew(
            numbers,
            f"Its confidence is off by {error:.1%} on average, and it had no validation images to be calibrated on.",
            "Hold some out.",
            {"validation_split": max(numbers.run.recipe.validation_split, _HELD_OUT)},
        )


def _unreadable(numbers: Numbers) -> Iterator[NextStep]:
    if numbers.unreadable:
        yield NextStep(
            f"{numbers.unreadable:,} {plural(numbers.unreadable, 'image')} could not be read and "
            f"{plural(numbers.unreadable, 'was', 'were')} left out.",
            "See which, and why, in unreadable.csv; convert or replace them.",
            command_line("explore", numbers.run.data_source),
        )
