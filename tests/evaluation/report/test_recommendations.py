"""Recommendations: each follows from metrics, and good metrics give none."""

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from saccade.cli.main import cli
from saccade.data.dataset import Preprocessing
from saccade.errors import DataNotFoundError
from saccade.evaluation.metrics import measure
from saccade.evaluation.report.recommendations import RunNumbers, recommend
from saccade.recipes import get_recipe
from saccade.runs.records import Calibration, DataRecord, EpochRecord, SourceRecord
from saccade.runs.run import Run

NAMES = ("cat", "deer", "dog")


def measured(confusions, n=3000):
    """Return metrics of three classes of n/3 images; `confusions` maps (true, predicted) to a number of images."""
    labels = np.arange(n) % 3
    probabilities = np.full((n, 3), 0.01)
    predicted = labels.copy()
    for (true, other), count in confusions.items():
        predicted[np.flatnonzero(labels == true)[:count]] = other
    probabilities[np.arange(n), predicted] = 0.98
    return measure(labels, probabilities)


def epoch(number, accuracy, validation):
    return EpochRecord(
        epoch=number, phase="plain", steps=1, learning_rate=0.1, loss=1.0, accuracy=accuracy, validation_loss=1.0,
        validation_accuracy=validation,
    )  # fmt: skip


def trained(recipe="fast", side=32, path="runs/a", source="photos", **settings):
    """Return a run, as a value, with an image size of side x side pixels."""
    data = DataRecord(
        name="photos", source=source, fingerprint="", class_names=NAMES, preprocessing=Preprocessing(side, side),
        num_images={"train": 3000}, unreadable=0, notes=(),
    )  # fmt: skip
    return Run(Path(path), get_recipe(recipe).with_settings(settings), data)


GOOD = RunNumbers(
    run=trained(),
    class_names=NAMES,
    training_images=(1000, 1000, 1000),
    metrics=measured({(0, 1): 10, (1, 2): 10, (2, 0): 10}),
    n=3000,
    confident_mistakes=0,
    history=[epoch(n + 1, 0.98, 0.985) for n in range(8)],
    num_validation_images=300,
    calibration=Calibration(temperature=1.1, num_images=300, log_loss_before=0.1, log_loss_after=0.1),
    unreadable=0,
)


def reasons(**changes):
    return [one.reason for one in recommend(replace(GOOD, **changes))]


def test_good_metrics_recommend_nothing():
    assert reasons() == []
    assert reasons(metrics=measured({})) == []


def test_a_pair_of_classes_with_many_confusions_is_named():
    (first, *_) = reasons(metrics=measured({(0, 2): 60, (2, 0): 20, (1, 0): 20}))
    assert "80% of the incorrect predictions (80 of 100) are confusions of 'cat' and 'dog'" in first


@pytest.mark.parametrize(
    ("confusions", "found"),
    [
        ({(0, 1): 1}, False),
        ({(0, 1): 1, (1, 0): 1}, False),
        ({(0, 1): 3}, False),  # all three errors in one of three pairs: by chance in one of nine tests
        ({(0, 1): 3, (1, 0): 2}, True),
        ({(0, 1): 4, (1, 2): 3, (0, 2): 3}, False),
        ({(0, 1): 40, (1, 2): 30, (0, 2): 30}, False),
        ({(0, 1): 60, (1, 2): 20, (0, 2): 20}, True),
    ],
)
def test_a_few_confusions_are_no_finding(confusions, found):
    named = [reason for reason in reasons(metrics=measured(confusions)) if "'cat' and 'deer'" in reason]
    assert bool(named) == found


def test_one_or_two_images_are_no_finding():
    """One of 12 validation images is 8 points, and one of two test images of a class half of its recall."""
    history = [epoch(n + 1, 1.0, 10 / 12 if n < 7 else 11 / 12) for n in range(8)]
    assert reasons(history=history, num_validation_images=12) == []
    found = reasons(history=history, num_validation_images=1200)
    assert [reason.split(":")[0] for reason in found] == [
        "In the last quarter of the epochs the validation accuracy increased by 8.3 points.",
        "The run overfits",
    ]
    labels = np.arange(302) % 2
    labels[:2] = 2  # two images of the third class, both predicted as another class
    predicted = np.where(labels == 2, 0, labels)
    metrics = measure(labels, np.eye(3)[predicted] * 0.97 + 0.01)
    assert not any("recall of 'dog'" in reason for reason in reasons(metrics=metrics, n=302))


def test_few_training_images_without_pretrained_weights_recommend_a_transfer():
    weak = measured({(0, 1): 200, (1, 2): 200, (2, 0): 200})
    (chosen,) = [
        step for step in recommend(replace(GOOD, metrics=weak, training_images=(40, 60, 50)))
        if "median class has 50 training images" in step.reason
    ]  # fmt: skip
    assert chosen.command == "saccade train photos --from EfficientNetV2B0"
    large = replace(GOOD, metrics=weak, training_images=(40, 60, 50), run=trained("folder", 160))
    (chosen,) = [step for step in recommend(large) if "median class has 50 training images" in step.reason]
    assert chosen.command == "saccade train photos"
    assert chosen.action == "Use the default recipe, which has pretrained weights."
    transferred = [epoch(1, 0.9, 0.9).model_copy(update={"phase": "head"}), *GOOD.history[1:]]
    for changes in ({"metrics": weak}, {"training_images": (50, 50, 50)}):
        assert not [reason for reason in reasons(**changes) if "no pretrained weights" in reason]
    assert not [
        reason
        for reason in reasons(metrics=weak, training_images=(50, 50, 50), history=transferred)
        if "no pretrained weights" in reason
    ]


def test_a_rising_validation_accuracy_recommends_more_epochs():
    steps = recommend(replace(GOOD, history=[epoch(n + 1, 0.9, 0.8 + n / 100) for n in range(8)]))
    (step,) = [step for step in steps if step.command.startswith("saccade train --extend runs/a --epochs +2")]
    assert "increased by 2.0 points" in step.reason


def test_overfitting_is_reported_with_both_accuracies():
    assert any("99.0% on the training images and 80.0%" in reason
               for reason in reasons(history=[epoch(1, 0.99, 0.8)]))  # fmt: skip


def overfitted(run):
    """Return the recommendation for a training accuracy of 99% and a validation accuracy of 80%."""
    steps = recommend(replace(GOOD, run=run, history=[epoch(1, 0.99, 0.8)]))
    (step,) = [step for step in steps if "overfits" in step.reason]
    return step


@pytest.mark.parametrize(
    ("run", "command"),
    [
        # Without augmented epochs a translation has no effect: the command adds augmented epochs.
        (trained("folder", 128),
         "train photos --recipe folder --set augmented_epochs=10 --set translate=0.15 --set label_smoothing=0.1"),
        (trained("folder", label_smoothing=0.1),
         "train photos --recipe folder --set augmented_epochs=10 --set translate=0.15 --set label_smoothing=0.1"),
        # The recipe has stronger label smoothing.
        (trained(), "train photos --set augmented_epochs=16 --set translate=0.15"),
        (trained("quick", 48, image_size=48, augmented_epochs=4, label_smoothing=0.2),
         ("train photos --recipe quick --set image_size=48 --set augmented_epochs=8 --set translate=0.15 "
          "--set label_smoothing=0.2")),
        # The steps of `photo` do not translate images: it gets more augmented versions of them.
        (trained("photo", 224), "train photos --set augmented_epochs=16 --set augmented_versions=8"),
        # A custom recipe has no name on the command line.
        (replace(trained(side=128), recipe=get_recipe("folder").model_copy(update={"name": "own"})),
         "train photos --recipe folder --set augmented_epochs=10 --set translate=0.15 --set label_smoothing=0.1"),
    ],
)  # fmt: skip
def test_a_command_names_the_data_of_the_run_and_only_changed_settings(run, command):
    assert overfitted(run).command == f"saccade {command}"


def test_an_overfitted_head_recommends_to_train_its_network():
    """A head takes no steps and has no augmentation to strengthen."""
    assert overfitted(trained("linear-probe", 224)).command == "saccade train photos"
    assert overfitted(trained("linear-probe", 96, image_size=96, fit="crop")).command == (
        "saccade train photos --set image_size=96 --set fit=crop"
    )


def test_an_overfitted_head_of_another_network_recommends_to_start_from_the_run(tmp_path):
    run = trained("transfer", 224, path=tmp_path, network="EfficientNetV2B0", augmented_epochs=0)
    run.write_source(SourceRecord(name="EfficientNetV2B0", fingerprint="0" * 64))
    assert overfitted(run).command == f"saccade train photos --from {tmp_path}"
    run = trained("linear-probe", 224, path=tmp_path)
    run.write_source(SourceRecord(name="older run", fingerprint="0" * 64))  # its features are not in the package
    assert overfitted(run).command == f"saccade train photos --from {tmp_path}"


def test_the_command_for_a_transfer_names_the_pretrained_model_or_a_placeholder(tmp_path):
    run = trained("transfer", 224, path=tmp_path, network="EfficientNetV2B0", image_size=224, seed=3)
    changed = "--set image_size=224 --set augmented_epochs=30 --set translate=0.15 --set seed=3"
    run.write_source(SourceRecord(name="EfficientNetV2B0", fingerprint="0" * 64))
    assert overfitted(run).command == f"saccade train photos --from EfficientNetV2B0 {changed}"
    run.write_source(SourceRecord(name="older run", fingerprint="0" * 64))
    step = overfitted(run)
    assert step.command == f"saccade train photos --from SOURCE {changed}"
    assert "SOURCE stands for 'older run'" in step.action


def test_a_recommended_command_is_valid_for_train(tmp_path, monkeypatch):
    """The command fails only because the data does not exist."""
    monkeypatch.chdir(tmp_path)
    words = shlex.split(overfitted(trained("folder", image_size=16, class_weights=True, tta_views=6)).command)
    assert "tta_views=6" in words
    with pytest.raises(DataNotFoundError, match="'photos'"):
        CliRunner().invoke(cli, words[1:], catch_exceptions=False)


def test_a_class_with_significantly_lower_recall_is_named():
    weak = measured({(1, 0): 300, (0, 1): 10})
    (chosen,) = [step for step in recommend(replace(GOOD, metrics=weak)) if "recall of 'deer' is 70.0%" in step.reason]
    assert chosen.command == ""
    few = replace(GOOD, metrics=weak, training_images=(1000, 200, 1000))
    (chosen,) = [step for step in recommend(few) if "recall of 'deer'" in step.reason]
    assert "200 training images; the median class has 1,000" in chosen.reason
    assert "class_weights=true" in chosen.command
    for setting, used in (
        ({"class_weights": True}, "class weights are"),
        ({"sampling": "balanced"}, "balanced sampling is"),
    ):
        (chosen,) = [step for step in recommend(replace(few, run=trained(**setting))) if "recall of" in step.reason]
        assert chosen.action == f"Add training images of this class; {used} already in use."
        assert chosen.command == ""
    assert not any("recall of" in reason for reason in reasons(metrics=measured({(1, 0): 12, (0, 1): 10})))


def test_few_test_images_label_errors_and_unreadable_files():
    assert any("With 60 test images" in reason for reason in reasons(metrics=measured({(0, 1): 6}, n=60), n=60))
    assert any("7 incorrect predictions have a confidence of 95%" in reason for reason in reasons(confident_mistakes=7))
    assert any("3 images could not be read" in reason for reason in reasons(unreadable=3))


def test_an_uncalibrated_run_with_a_large_calibration_error_needs_a_validation_split():
    off = measured({(0, 1): 300, (1, 2): 300})
    assert any("no validation images" in reason for reason in reasons(calibration=None, metrics=off))
    assert not any("no validation images" in reason for reason in reasons(metrics=off))
