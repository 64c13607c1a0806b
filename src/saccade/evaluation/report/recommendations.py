"""Recommendations for the next step, derived from the metrics of a run, with commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binom

from saccade.evaluation.metrics import Metrics
from saccade.evaluation.wilson_interval import wilson_interval
from saccade.recipes import Recipe, default_recipe
from saccade.runs.records import Calibration, EpochRecord
from saccade.runs.run import Run
from saccade.runs.training_command import data_words, fine_tuning_command, source_note, training_command
from saccade.sanitize import command_line, plural

MIN_FINDING_IMAGES = 3
"""Number of images that a finding is based on at least: one or two images may be chance."""

_MAX_RECOMMENDATIONS = 6
_SIGNIFICANT = 0.05
_MIN_CONFUSION_FRACTION = 0.15  # of all incorrect predictions, for a pair of classes
_OVERFITTING_GAP = 0.05
_WIDE_INTERVAL = 0.04
_MIN_GAIN = 0.003
_MIN_TEST_IMAGES = 100
# Up to 200 training images per class, transfer learning had the higher accuracy (docs/performance.md).
_FEW_PER_CLASS = 300
_GOOD_ACCURACY = 0.95
_MISCALIBRATED = 0.03
_CONFIDENT = 0.95
_MIN_CONFIDENT_MISTAKES = 5
_TRANSLATE = 0.15
_LABEL_SMOOTHING = 0.1
_VALIDATION_SPLIT = 0.1


@dataclass(frozen=True)
class Recommendation:
    """Recommended next step.

    Attributes:
        reason: finding in the metrics, as a sentence.
        action: recommended action, as a sentence.
        command: command of the action, or "".
    """

    reason: str
    action: str
    command: str = ""


@dataclass(frozen=True)
class RunNumbers:
    """Numbers of a run from which recommendations are derived.

    Attributes:
        run: the run; commands contain its recipe, data and pretrained model.
        class_names: names of the classes, in the order of the labels.
        training_images: number of training images of each class.
        metrics: metrics on the test images.
        n: number of test images.
        confident_mistakes: number of incorrect predictions with a confidence of at least 95%.
        history: record of each epoch.
        num_validation_images: number of images of the validation accuracies in the history.
        calibration: calibration of the run, or None.
        unreadable: number of unreadable images of the data.
    """

    run: Run
    class_names: tuple[str, ...]
    training_images: Sequence[int]
    metrics: Metrics
    n: int
    confident_mistakes: int
    history: Sequence[EpochRecord]
    num_validation_images: int
    calibration: Calibration | None
    unreadable: int


def recommend(numbers: RunNumbers) -> list[Recommendation]:
    """Return up to six recommendations, the most important first."""
    checks = (_confused_pair, _few_training_images, _underfitting, _overfitting, _weakest_class, _label_errors,
              _few_test_images, _uncalibrated, _unreadable)  # fmt: skip
    return [recommendation for check in checks for recommendation in check(numbers)][:_MAX_RECOMMENDATIONS]


def _confused_pair(numbers: RunNumbers) -> Iterator[Recommendation]:
    incorrect = numbers.metrics.confusion_matrix.copy()
    np.fill_diagonal(incorrect, 0)
    total, pairs = int(incorrect.sum()), np.triu(incorrect + incorrect.T)
    if not total:
        return
    first, second = np.unravel_index(int(pairs.argmax()), pairs.shape)
    fraction = pairs[first, second] / total
    enough = pairs[first, second] >= MIN_FINDING_IMAGES and fraction >= _MIN_CONFUSION_FRACTION
    if enough and _is_more_than_chance(int(pairs[first, second]), total, len(incorrect)):
        names = numbers.class_names[first], numbers.class_names[second]
        yield Recommendation(
            f"{fraction:.0%} of the incorrect predictions ({pairs[first, second]:,} of {total:,}) are confusions of "
            f"'{names[0]}' and '{names[1]}'.",
            "Look at these images in the confusion matrix. If people confuse the two classes too, merge the classes or "
            "use larger images. Otherwise add training images of both classes.",
        )


def _is_more_than_chance(count: int, total: int, classes: int) -> bool:
    """Return whether the most confused pair has significantly more confusions than if all pairs were equally likely.

    Exact binomial test at the level 0.05, with Bonferroni's correction for the number of pairs. Two classes have one
    pair, which is never significant.

    Args:
        count: number of confusions of the pair.
        total: number of confusions of all pairs.
        classes: number of classes.
    """
    num_pairs = classes * (classes - 1) // 2
    return bool(num_pairs * binom.sf(count - 1, total, 1 / num_pairs) < _SIGNIFICANT)


def _few_training_images(numbers: RunNumbers) -> Iterator[Recommendation]:
    median = float(np.median(numbers.training_images))
    pretrained = bool(numbers.history) and numbers.history[0].phase == "head"
    if median >= _FEW_PER_CLASS or numbers.metrics.accuracy >= _GOOD_ACCURACY or pretrained:
        return
    run = numbers.run
    by_default = default_recipe(run.preprocessing.height, run.preprocessing.width).transfer
    yield Recommendation(
        f"The median class has {median:,.0f} training images, and the training used no pretrained weights.",
        "Use the default recipe, which has pretrained weights."
        if by_default
        else "Use the pretrained weights of another run or of keras.applications.",
        command_line("train", *data_words(run), *([] if by_default else ["--from", "EfficientNetV2B0"])),
    )


def _underfitting(numbers: RunNumbers) -> Iterator[Recommendation]:
    validated = [record.validation_accuracy for record in numbers.history if record.validation_accuracy is not None]
    if len(validated) >= 4 and validated[-1] == max(validated):
        gain = validated[-1] - max(validated[: -max(1, len(validated) // 4)])
        if gain > _MIN_GAIN and round(gain * numbers.num_validation_images) >= MIN_FINDING_IMAGES:
            more = max(2, len(numbers.history) // 4)
            yield Recommendation(
                f"In the last quarter of the epochs the validation accuracy increased by {100 * gain:.1f} points.",
                "Train for more epochs.",
                command_line("train", "--extend", numbers.run.path, "--epochs", f"+{more}", "--schedule", "anneal"),
            )


def _overfitting(numbers: RunNumbers) -> Iterator[Recommendation]:
    last = numbers.history[-1] if numbers.history else None
    if last is None or last.validation_accuracy is None:
        return
    gap = last.accuracy - last.validation_accuracy
    if gap <= _OVERFITTING_GAP or round(gap * numbers.num_validation_images) < MIN_FINDING_IMAGES:
        return
    reason = (
        f"The run overfits: its accuracy is {last.accuracy:.1%} on the training images and "
        f"{last.validation_accuracy:.1%} on the validation images."
    )
    if numbers.run.recipe.head_only:
        yield Recommendation(
            reason, "Add training images, or train the layers of the network too.", fine_tuning_command(numbers.run)
        )
    else:
        yield _retrain(
            numbers,
            reason,
            "Add training images, or train more epochs with augmentation, rather than a larger network.",
            _more_augmentation(numbers.run.recipe),
        )


def _more_augmentation(recipe: Recipe) -> dict[str, Any]:
    """Return recipe settings for more augmented epochs and stronger augmentation."""
    if recipe.keeps_outputs:  # the steps see the augmented versions that are computed before them
        return {"augmented_epochs": 2 * recipe.augmented_epochs, "augmented_versions": 2 * recipe.augmented_versions}
    return {
        "augmented_epochs": 2 * recipe.augmented_epochs or recipe.plain_epochs,
        "translate": max(recipe.translate, _TRANSLATE),
        "label_smoothing": max(recipe.label_smoothing, _LABEL_SMOOTHING),
    }


def _retrain(numbers: RunNumbers, reason: str, action: str, changes: Mapping[str, Any]) -> Recommendation:
    """Return the recommendation to repeat the training with changed recipe settings."""
    note = source_note(numbers.run)
    return Recommendation(reason, f"{action} {note}".strip(), training_command(numbers.run, changes))


def _weakest_class(numbers: RunNumbers) -> Iterator[Recommendation]:
    scores = numbers.metrics.per_class
    present = [label for label, score in enumerate(scores) if score.num_images]
    weakest = min(present, key=lambda label: scores[label].recall)
    score, average = scores[weakest], numbers.metrics.balanced_accuracy
    _, high = wilson_interval(round(score.recall * score.num_images), score.num_images)
    if high >= average or round((1 - score.recall) * score.num_images) < MIN_FINDING_IMAGES:  # may be chance
        return
    count, median = numbers.training_images[weakest], float(np.median(numbers.training_images))
    reason = (
        f"The recall of '{numbers.class_names[weakest]}' is {score.recall:.1%} on {score.num_images:,} "
        f"{plural(score.num_images, 'image')}; the mean recall of the classes is {average:.1%}."
    )
    if count >= 0.7 * median:
        yield Recommendation(reason, "Add more, and more diverse, training images of this class.")
        return
    reason += f" The class has {count:,} training images; the median class has {median:,.0f}."
    recipe = numbers.run.recipe
    if recipe.class_weights or recipe.sampling == "balanced":
        used = "class weights are" if recipe.class_weights else "balanced sampling is"
        yield Recommendation(reason, f"Add training images of this class; {used} already in use.")
        return
    yield _retrain(numbers, reason, "Add training images of this class, or use class weights.", {"class_weights": True})


def _label_errors(numbers: RunNumbers) -> Iterator[Recommendation]:
    if numbers.confident_mistakes >= _MIN_CONFIDENT_MISTAKES:
        yield Recommendation(
            f"{numbers.confident_mistakes:,} incorrect predictions have a confidence of {_CONFIDENT:.0%} or more.",
            "Look at the most confident incorrect predictions: often the label is incorrect.",
        )


def _few_test_images(numbers: RunNumbers) -> Iterator[Recommendation]:
    low, high = numbers.metrics.accuracy_interval
    if high - low > _WIDE_INTERVAL:
        required = round(numbers.n * ((high - low) / _WIDE_INTERVAL) ** 2, -2)
        yield Recommendation(
            f"With {numbers.n:,} test images the 95% interval of the accuracy is wide: {low:.1%} to {high:.1%}.",
            f"For a narrower interval, use about {max(required, _MIN_TEST_IMAGES):,.0f} test images.",
        )


def _uncalibrated(numbers: RunNumbers) -> Iterator[Recommendation]:
    error = numbers.metrics.expected_calibration_error
    if numbers.calibration is None and error > _MISCALIBRATED:
        yield _retrain(
            numbers,
            f"The expected calibration error is {error:.1%}, and there were no validation images for calibration.",
            "Train with a validation split.",
            {"validation_split": max(numbers.run.recipe.validation_split, _VALIDATION_SPLIT)},
        )


def _unreadable(numbers: RunNumbers) -> Iterator[Recommendation]:
    if numbers.unreadable:
        yield Recommendation(
            f"{numbers.unreadable:,} {plural(numbers.unreadable, 'image')} could not be read and "
            f"{plural(numbers.unreadable, 'was', 'were')} skipped.",
            "Find the files and the reasons in unreadable.csv, and convert or replace the files.",
            command_line("explore", numbers.run.data_source),
        )
