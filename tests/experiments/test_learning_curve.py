"""Learning curve: subsets, files, resumption, verdicts and errors."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from tests.experiments.test_power_law import law, simulated

from saccade.cli.main import cli
from saccade.errors import DataError, RunError, TrainingError
from saccade.experiments.learning_curve import (
    _remaining_time_text,
    _sizes,
    estimate_remaining_seconds,
    learning_curve,
)
from saccade.experiments.learning_curve_result import LearningCurve, curve_of
from saccade.recipes import get_recipe
from saccade.runs.predictions import Predictions
from saccade.runs.safe_loading import read_record
from saccade.training import repeated_training
from saccade.training.train import train

RECIPE = get_recipe("folder").with_epochs(1).with_settings({"batch_size": 30, "seed": 2})
SIZES = [20, 40, 60, 80]
FILES = ("learning_curve.json", "learning_curve.png")


@pytest.fixture(scope="module")
def trained():
    """Return the list that records the directory, the images and the seed of each training."""
    return []


@pytest.fixture(scope="module")
def curve(dataset, trained, tmp_path_factory):
    """Return a learning curve whose first call was interrupted at the fifth training."""
    out, stops = tmp_path_factory.mktemp("curves") / "curve", [KeyboardInterrupt]

    def recorded(data, *, recipe, out, **options):
        if len(trained) == 4 and stops:
            raise stops.pop()
        trained.append((out.name, set(data.splits["train"].names), recipe.seed))
        return train(data, recipe=recipe, out=out, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeated_training, "train", recorded)
        with pytest.raises(KeyboardInterrupt):
            drawn(dataset, out)
        assert not any((out / name).exists() for name in FILES)
        return drawn(dataset, out)


def drawn(dataset, out, *, recipe=RECIPE, sizes=SIZES, repeats=2):
    return learning_curve(dataset, recipe=recipe, sizes=sizes, repeats=repeats, out=out, progress=False)


@pytest.mark.nightly
def test_each_training_is_run_once_although_the_first_call_was_interrupted(curve, trained):
    names = [name for name, _, _ in trained]
    expected = [f"{size}-{repeat}" for size in SIZES for repeat in range(1, 5 if size == 20 else 3)]
    assert names == expected
    assert len({seed for _, _, seed in trained}) == len(trained)


@pytest.mark.nightly
def test_subsets_are_nested_and_stratified(curve, trained, dataset):
    by_name = {name: images for name, images, _ in trained}
    for repeat in ("1", "2"):
        subsets = [by_name[f"{size}-{repeat}"] for size in SIZES]
        assert [len(subset) for subset in subsets] == SIZES
        assert all(small < large for small, large in pairwise(subsets))
        classes = [sum(f"/{name}/" in image for image in subsets[0]) for name in dataset.class_names]
        assert max(classes) - min(classes) <= 1
    assert by_name["20-1"] != by_name["20-2"]


@pytest.mark.nightly
def test_all_networks_predict_the_same_held_out_images(curve, trained, dataset):
    training = dataset.splits["train"]
    hashes = dict(zip(training.names, training.hashes, strict=True))
    used = {hashes[name] for _, images, _ in trained for name in images}
    kept = [Predictions.read(path, 3, 10**6) for path in curve.files[0].parent.glob("*.safetensors")]
    assert len(kept) == sum(len(point.accuracies) for point in curve.points) == 10
    held_out = {bytes(row).hex() for row in kept[0].hashes}
    assert all(np.array_equal(kept[0].hashes, other.hashes) for other in kept)
    assert len(held_out) == curve.num_evaluated == 30
    assert not held_out & used
    accuracies = sorted(float((each.probabilities.argmax(axis=1) == each.labels).mean()) for each in kept)
    assert accuracies == pytest.approx(sorted(value for point in curve.points for value in point.accuracies))


@pytest.mark.nightly
def test_the_files_contain_the_curve(curve):
    numbers, plot = curve.files
    assert LearningCurve.model_validate_json(numbers.read_text()) == curve
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert [point.num_images for point in curve.points] == SIZES
    assert [more.num_images for more in curve.extrapolations] == [160, 320]
    damaged = json.loads(numbers.read_text()) | {"num_evaluated": "30"}
    other = numbers.with_name("other.json")
    other.write_text(json.dumps(damaged))
    with pytest.raises(RunError, match="is damaged"):
        read_record(other, LearningCurve)
    other.unlink()


@pytest.mark.nightly
def test_more_repeats_and_other_sizes_train_only_the_missing_networks(curve, dataset, monkeypatch):
    requested = []

    def recorded(*_, out, **__):
        requested.append(out.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(repeated_training, "train", recorded)
    out = curve.files[0].parent
    assert drawn(dataset, out) == curve
    for changed in ({"repeats": 3}, {"sizes": [20, 30, 40, 60, 80]}):
        with pytest.raises(KeyboardInterrupt):
            drawn(dataset, out, **changed)
    assert requested == ["20-5", "30-1"]


def command_output(curve, tiny_folder, *arguments):
    options = ["--recipe", "folder", "--epochs", "1", "--set", "batch_size=30", "--seed", "2", "--repeats", "2",
            "--sizes", ",".join(map(str, SIZES)), "--out", str(curve.files[0].parent)]  # fmt: skip
    result = CliRunner().invoke(cli, ["learning-curve", str(tiny_folder), *options, *arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.nightly
def test_the_command_prints_the_curve_and_the_extrapolation(curve, tiny_folder):
    result = command_output(curve, tiny_folder)
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[3:7]] == [["20", "4"], ["40", "2"], ["60", "2"], ["80", "2"]]
    assert any(line.startswith("with 160 images, 2 times as many: ") for line in lines)
    assert any(line.startswith("test of the power law: ") for line in lines)
    assert curve.summary in lines
    assert lines[-2:] == [f"  {path}" for path in curve.files]
    assert result.stderr.count("(already trained)") == 10
    assert json.loads(command_output(curve, tiny_folder, "--json").stdout) == json.loads(curve.files[0].read_text())


@pytest.mark.nightly
def test_another_learning_curve_in_the_directory_is_an_error(curve, dataset, tmp_path):
    with pytest.raises(RunError, match="begun for something else") as caught:
        drawn(dataset, curve.files[0].parent, recipe=RECIPE.with_settings({"learning_rate": 0.01}))
    assert caught.value.found == "learning_rate = 0.001, not 0.01"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="nothing is overwritten"):
        drawn(dataset, tmp_path)


@pytest.mark.parametrize("sizes", [[10, 20, 40], [10, 20, 20, 40], [2, 20, 40, 80], [10, 20, 40, 91]], ids=str)
def test_invalid_sizes_are_an_error(dataset, tmp_path, sizes):
    with pytest.raises(DataError, match="make no learning curve"):
        drawn(dataset, tmp_path / "out", sizes=sizes)
    assert not any(tmp_path.iterdir())


def test_invalid_repeats_recipes_and_small_data_are_errors(dataset, tmp_path):
    with pytest.raises(DataError, match="one training of each size is not enough"):
        drawn(dataset, tmp_path / "out", repeats=1)
    with pytest.raises(TrainingError, match="best epoch can't be chosen"):
        drawn(dataset, tmp_path / "out", recipe=RECIPE.with_settings({"keep": "best"}))
    few = dataset.splits["train"].subset(np.arange(0, 120, 4))
    with pytest.raises(DataError, match="too few training images") as caught:
        drawn(replace(dataset, splits=dataset.splits | {"train": few}), tmp_path / "out", sizes=None)
    assert "--sizes 4,10,17,24" in str(caught.value.remedy)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("images", "classes"), [(5, 3), (6, 3), (8, 5), (23, 3), (31, 3), (40, 37), (1000, 3)])
def test_the_sizes_of_the_remedy_are_valid(images, classes):
    with pytest.raises(DataError) as caught:
        _sizes([1], images, classes)
    named = re.search(r"--sizes ([\d,]+)", str(caught.value.remedy))
    if images - classes < 3:
        assert named is None
    else:
        assert named is not None
        sizes = [int(size) for size in named[1].split(",")]
        assert _sizes(sizes, images, classes) == sizes


def summary_of(constants, dataset, tmp_path, **options):
    measured = simulated(np.random.default_rng(0), constants, **options)
    return curve_of(measured, dataset, RECIPE, tmp_path)[0]


def test_verdicts_of_a_steep_a_flat_and_an_uncertain_curve(dataset, tmp_path):
    steep = summary_of((0.0, 8.0, 0.45), dataset, tmp_path, images=5000, spread=0.003)
    assert steep.summary.startswith("More images would help: with 8,000, twice as many, ")
    (twice, fourfold), truth = steep.extrapolations, [1 - law(size, 0.0, 8.0, 0.45) for size in (8000, 16000)]
    assert twice.interval[0] < truth[0] < twice.interval[1]
    assert fourfold.interval[0] < truth[1] < fourfold.interval[1]
    assert twice.gain_interval[0] < truth[0] - (1 - law(4000, 0.0, 8.0, 0.45)) < twice.gain_interval[1]
    assert steep.backtest.within

    flat = summary_of((0.1, 200.0, 1.2), dataset, tmp_path, images=5000, spread=0.003)
    assert flat.summary.startswith("More images would hardly help: ")

    doubtful = summary_of((0.05, 2.0, 0.3), dataset, tmp_path, images=100, spread=0.05)
    assert doubtful.verdict == "can't be told"
    assert "twice as many" in doubtful.summary


def test_a_curve_that_stops_improving_fails_the_test_of_the_power_law(dataset, tmp_path):
    measured = simulated(np.random.default_rng(0), (0.02, 4.0, 0.4), images=2000, spread=0.004)
    # The last size is not better than the one before.
    incorrect = (*measured.incorrect[:-1], np.random.default_rng(1).uniform(size=(3, 2000)) < 0.45)
    curve, _ = curve_of(replace(measured, incorrect=incorrect), dataset, RECIPE, tmp_path)
    assert not curve.backtest.within
    assert curve.verdict == "can't be told"
    assert "does not follow a power law" in curve.summary


def test_the_remaining_time_is_estimated_from_finished_trainings():
    assert estimate_remaining_seconds([(100, 4.0), (100, 5.0)], [200]) is None
    assert estimate_remaining_seconds([(100, 3.0), (200, 4.0)], [400, 800]) == pytest.approx(6 + 10)
    assert [_remaining_time_text(seconds) for seconds in (None, 20.0, 600.0, 7200.0)] == [
        "remaining time not known yet", "about 20 seconds left", "about 10 minutes left",
        "about 2.0 hours left",
    ]  # fmt: skip
