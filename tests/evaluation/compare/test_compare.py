"""Comparison of small runs, with artificial predictions."""

import json
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

import saccade
from saccade.errors import EvaluationError, RunError
from saccade.evaluation.compare.significance import compare_correct
from saccade.runs.predictions import Predictions
from saccade.runs.run import Run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Working directory, in which comparisons are numbered."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def predictions(tiny_run):
    """Predictions of the run."""
    saccade.evaluate(tiny_run)
    return tiny_run.predictions("predictions.safetensors")


@pytest.fixture
def made(tiny_run, predictions, tmp_path):
    """Function that copies the run with incorrect predictions for given images, and changes its records."""

    def make(name, incorrect=(), rows=slice(None), labels=None, **changes):
        run = _copy(tiny_run, tmp_path / name, **changes)
        labels = predictions.labels if labels is None else labels
        predicted = labels.copy()
        predicted[list(incorrect)] = (predicted[list(incorrect)] + 1) % 3
        probabilities = np.full((60, 3), 0.1, np.float32)
        probabilities[np.arange(60), predicted] = 0.8
        run.write_predictions(
            "predictions.safetensors", Predictions(labels[rows], probabilities[rows], predictions.hashes[rows])
        )
        n = len(labels[rows])
        record = {"weights": run.weights_fingerprint(), "accuracy_without_tta": None, "total": n, "n": n}
        record |= {"accuracy": 1 - len(incorrect) / 60, "accuracy_interval": [0.0, 1.0]}
        run.write_json("report.json", record)
        return run

    return make


def _copy(run, path, **changes):
    shutil.copytree(run.path, path, ignore=shutil.ignore_patterns("model.keras", "report*", "predictions*", "*.png"))
    for name, keys in changes.items():
        record = path / f"{name}.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | keys))
    return Run.open(path)


def test_two_runs_are_compared_by_image(made, folder, tiny_folder):
    first = made("first", incorrect=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    second = made("second", incorrect=[0, 1], recipe={"learning_rate": 0.004})
    comparison = saccade.compare([first, second.path])
    (pair,) = comparison.pairs
    assert comparison.n == 60
    assert [group.accuracies for group in comparison.groups] == [(50 / 60,), (58 / 60,)]
    assert (pair.result.first_only, pair.result.second_only) == (0, 8)
    assert pair.result.models_p == pytest.approx(2 / 2**8)
    assert pair.verdict == "second better"
    assert pair.summary.startswith("second is better than first by 13.33 points (95% interval +")
    assert pair.remark == "one run of each: the verdict assumes a standard deviation over seeds of 0.2 points"
    assert any("each run group has one run" in note for note in comparison.notes)
    (command,) = [note.partition(": ")[2] for note in comparison.notes if note.startswith("5 seeds of 'second': ")]
    settings = ["plain_epochs=4", "augmented_epochs=1", "batch_size=12", "learning_rate=0.004"]
    words = shlex.split(command)
    assert words[:5] == ["saccade", "train", str(tiny_folder), "--recipe", "folder"]
    assert sorted(words[6:-4:2]) == sorted(settings)
    assert words[-4:] == ["--seeds", "5", "--out", f"{second.path}-seeds"]
    names = saccade.load(tiny_folder).splits["test"].names
    assert [image.name for image in comparison.disagreements] == [names[row] for row in range(2, 10)]
    disagreement = comparison.disagreements[0]
    assert (disagreement.true, disagreement.first, disagreement.second) == ("null", "one", "null")


def test_the_order_of_the_images_does_not_matter(made, folder):
    first = made("first", incorrect=range(10))
    second = made("second", incorrect=range(10), rows=np.random.default_rng(0).permutation(60))
    comparison = saccade.compare([first, second])
    assert comparison.disagreements == ()
    assert comparison.pairs[0].result.difference == 0
    assert comparison.pairs[0].summary == (
        "first and second are not distinguishable: the same accuracy "
        f"(95% interval {100 * comparison.pairs[0].result.interval[0]:+.2f} to "
        f"{100 * comparison.pairs[0].result.interval[1]:+.2f})"
    )


def test_only_images_that_both_predicted_are_compared(made, folder):
    comparison = saccade.compare([made("first", incorrect=[0, 59]), made("second", rows=slice(20, None))])
    assert comparison.n == 40
    assert comparison.groups[0].accuracy == 39 / 40
    assert any("the 40 images that all runs predicted" in note for note in comparison.notes)


def test_a_run_group_without_correct_predictions_is_worse(made, folder):
    incorrect = [made(f"a{seed}", incorrect=range(60), recipe={"seed": seed}) for seed in range(2)]
    correct = [made(f"b{seed}", recipe={"seed": seed, "learning_rate": 0.004}) for seed in range(2)]
    (pair,) = saccade.compare([*incorrect, *correct]).pairs
    assert pair.verdict == "second better"
    assert pair.result.difference == 1
    assert 0 < pair.result.interval[0] < 1


def test_runs_that_differ_only_by_seed_are_one_run_group(made, folder):
    seeds = [made(f"a{seed}", incorrect=range(seed + 3), recipe={"seed": seed}) for seed in range(3)]
    other = [made(f"b{seed}", incorrect=[], recipe={"seed": seed, "learning_rate": 0.004}) for seed in range(2)]
    comparison = saccade.compare([seeds[0], other[0], *seeds[1:], other[1]])
    assert [len(group.runs) for group in comparison.groups] == [3, 2]
    assert [group.name for group in comparison.groups] == [
        "folder on tiny (learning_rate=0.002)", "folder on tiny (learning_rate=0.004)",
    ]  # fmt: skip
    first = comparison.groups[0]
    assert first.seeds == (0, 1, 2)
    assert first.deviation == pytest.approx(np.std([57, 56, 55], ddof=1) / 60)
    correct = np.ones((3, 60), bool)
    for row, run in enumerate(correct):
        run[: row + 3] = False
    assert comparison.pairs[0].result == compare_correct(correct, np.ones((2, 60), bool))
    assert comparison.pairs[0].result.measured
    assert not any("each run group has one run" in note for note in comparison.notes)


def test_runs_that_all_differ_only_by_seed_are_single_run_groups(made, folder):
    runs = [
        made(f"a{seed}", incorrect=range(seed), recipe={"seed": seed, "checkpoint_seconds": seed}) for seed in range(3)
    ]
    comparison = saccade.compare(runs)
    assert [group.name for group in comparison.groups] == ["a0", "a1", "a2"]
    assert [(pair.first, pair.second) for pair in comparison.pairs] == [("a0", "a1"), ("a0", "a2"), ("a1", "a2")]
    assert {pair.verdict for pair in comparison.pairs} == {"not distinguishable"}


def test_p_values_are_adjusted_for_the_number_of_pairs(made, folder):
    """Six images are correct on one side only: p = 0.03 is significant for one pair and not for three pairs."""
    runs = [made("a"), made("b", incorrect=range(6)), made("c", incorrect=range(3))]
    assert saccade.compare(runs[:2]).pairs[0].verdict == "first better"
    pair = saccade.compare(runs).pairs[0]
    assert pair.verdict == "not distinguishable"
    assert pair.remark is not None
    assert "these two models differ (McNemar, p = 0.031)" in pair.remark


def test_an_interrupted_run_is_not_in_the_run_group_of_complete_runs(made, folder):
    runs = [made(f"a{seed}", recipe={"seed": seed}) for seed in range(2)]
    stopped = made("c", recipe={"seed": 2}, status={"state": "interrupted", "epochs": 1})
    assert [len(group.runs) for group in saccade.compare([*runs, stopped]).groups] == [2, 1]


def test_equal_weights_are_noted(made, folder):
    for name in ("a", "b"):
        made(name)
    notes = saccade.compare([folder / "a", folder / "b"]).notes
    assert "'b' has the same weights as 'a': train one of them with another seed, --seed N" in notes


def test_run_groups_of_the_same_name_have_paths_as_names(made, folder):
    runs = [made(f"{parent}/run", recipe={"learning_rate": rate}) for parent, rate in (("a", 0.001), ("b", 0.002))]
    names = [group.name for group in saccade.compare(runs).groups]
    assert names == [str(run.path) for run in runs]


def test_training_time_and_number_of_weights_are_reported(made, folder):
    first = made("first")
    (first.path / "timings.csv").write_text("epoch,seconds,images_per_second\n1,90.5,1\n2,30.25,1\n")
    group, other = saccade.compare([first, made("second")]).groups
    assert group.minutes == pytest.approx(120.75 / 60)
    assert group.weights == sum(weight.size for weight in first.weights().values())
    (first.path / "timings.csv").write_text("epoch,seconds,images_per_second\n1,-1,1\n")
    with pytest.raises(RunError, match=r"timings\.csv' is damaged"):
        saccade.compare([first, other.runs[0]])


def test_comparison_json_is_the_returned_comparison_and_nothing_is_overwritten(made, folder):
    runs = [made("a"), made("b", incorrect=[1, 2])]
    comparison = saccade.compare(runs)
    assert [path.name for path in comparison.files] == ["comparison.json", "comparison.png", "differences.png"]
    assert {path.parent for path in comparison.files} == {folder / "comparisons" / "1"}
    assert json.loads(comparison.files[0].read_text()) == comparison.to_dict()
    for path in comparison.files[1:]:
        with Image.open(path) as plot:
            assert min(plot.size) > 200
            assert len(np.unique(np.asarray(plot.convert("L")))) > 10
    before = comparison.files[0].stat().st_mtime_ns
    assert saccade.compare(runs).files[0].parent == folder / "comparisons" / "2"
    with pytest.raises(RunError, match="nothing is overwritten"):
        saccade.compare(runs, out="comparisons/1")
    assert comparison.files[0].stat().st_mtime_ns == before
    assert sorted(path.name for path in (folder / "comparisons").iterdir()) == ["1", "2"]


def test_runs_without_an_evaluation_of_their_weights_are_evaluated_first(tiny_run, made, folder):
    fresh, other = _copy(tiny_run, folder / "fresh"), made("other")
    comparison = saccade.compare([fresh, other])
    assert comparison.notes[0] == "'fresh' was evaluated first"
    assert comparison.groups[0].accuracy == saccade.evaluate(tiny_run).accuracy
    assert "'fresh' was evaluated first" not in saccade.compare([fresh, other]).notes
    fresh.write_weights({name: 2 * value for name, value in fresh.weights().items()})
    assert "'fresh' was evaluated first" in saccade.compare([fresh, other]).notes


def test_test_images_in_the_training_data_are_reported_for_evaluated_runs(made, folder):
    runs = [made("a"), made("b", incorrect=[1])]
    rows = (runs[0].path / "split.csv").read_text()
    again = next(row for row in rows.splitlines() if row.startswith("test,")).replace("test,", "train,", 1)
    (runs[0].path / "split.csv").write_text(f"{rows}{again}\n")
    assert "test images that were trained on as well, as identical files: 1" in saccade.compare(runs).notes


def test_runs_are_compared_on_validation_images(tiny_run, folder):
    comparison = saccade.compare([_copy(tiny_run, folder / name) for name in "ab"], split="validation")
    assert comparison.n == 12
    assert comparison.disagreements == ()


def test_runs_are_compared_on_other_data(tiny_run, tiny_folder, folder):
    data = shutil.copytree(tiny_folder, folder / "others")
    for number in range(5):
        (data / "test" / "one" / f"{40 + number}.png").unlink()
    comparison = saccade.compare([_copy(tiny_run, folder / name) for name in "ab"], data=data)
    assert (comparison.n, comparison.data_name) == (55, "others")


def test_a_comparison_with_missing_data_has_no_images(made, folder):
    runs = [
        made(name, incorrect=incorrect, data={"source": str(folder / "gone")})
        for name, incorrect in (("a", []), ("b", [3]))
    ]
    comparison = saccade.compare(runs)
    assert [path.name for path in comparison.files] == ["comparison.json", "comparison.png"]
    assert comparison.disagreements[0].name is None
    assert any("can't be shown" in note for note in comparison.notes)


def test_predictions_that_can_not_be_paired_are_errors(made, tiny_run, folder):
    first = made("first")
    names = made("names", data={"class_names": ["null", "one", "three"]})
    with pytest.raises(EvaluationError, match="these runs have different classes") as caught:
        saccade.compare([first, names])
    assert caught.value.found == "the 3 classes of 'names': null, one, three"
    with pytest.raises(EvaluationError, match="no predictions for the same images") as caught:
        saccade.compare([made("early", rows=slice(0, 30)), made("late", rows=slice(30, None))])
    assert "--data" in str(caught.value)
    labels = (tiny_run.predictions("predictions.safetensors").labels + 1) % 3
    with pytest.raises(EvaluationError, match="different true classes"):
        saccade.compare([first, made("relabeled", labels=labels)])
    with pytest.raises(EvaluationError, match="at least two runs"):
        saccade.compare([first])
    with pytest.raises(EvaluationError, match="named twice"):
        saccade.compare([first, first.path])
    with pytest.raises(RunError, match="is not a run"):
        saccade.compare([first, folder])
    assert not (folder / "comparisons").exists()


def test_only_the_minutes_of_pretrained_networks_have_a_note(made, folder):
    frozen = {"network": "EfficientNetLite0", "transfer": True, "trainable_fraction": 0.0, "plain_epochs": 1}
    plain, other = made("plain"), made("other", recipe={"name": "other", "learning_rate": 0.5})
    assert not any("minutes of" in note for note in saccade.compare([plain, other]).notes)
    head = made("head", recipe=frozen | {"name": "linear-probe", "augmented_epochs": 0})
    (note,) = (note for note in saccade.compare([plain, head]).notes if "minutes of" in note)
    assert note.startswith("the minutes of 'head' do not count features and outputs of images that were in the cache")
