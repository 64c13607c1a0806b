"""Estimates of the accuracy of a run on unlabeled images; the person is played by the true labels."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.snippets import run_here

import saccade
from saccade.data.reading_options import ReadingOptions
from saccade.errors import DataError, RunError
from saccade.labeling.accuracy_estimate import MIN_ANSWERS, difference_interval
from saccade.labeling.estimate import Sample, estimate
from saccade.labeling.predicted_data import limit_of
from saccade.labeling.session import Session
from saccade.labeling.stratified_sample import Interval


@pytest.fixture(scope="module")
def heap(tiny_folder, tmp_path_factory):
    """All 180 digits of `tiny_folder` in one folder under other names, and the true class of each."""
    root = tmp_path_factory.mktemp("heap") / "heap"
    root.mkdir()
    truth = {}
    for number, path in enumerate(sorted(tiny_folder.rglob("*.png"), key=lambda path: path.read_bytes())):
        name = f"scan-{number:03}.png"
        shutil.copy(path, root / name)
        truth[name] = path.parent.name
    return root, truth


@pytest.fixture(scope="module")
def correct(tiny_run, heap):
    """Return whether the run predicts each image of the heap correctly, by name."""
    root, truth = heap
    names = sorted(truth)
    found = saccade.predict(tiny_run, [root / name for name in names])
    return {name: one.top[0].class_name == truth[name] for name, one in zip(names, found, strict=True)}


def write_answers(path, answers):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("file_name", "label"), *answers.items()])
    return path


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_all_answers_give_the_accuracy_itself(tiny_run, heap, correct, tmp_path):
    root, truth = heap
    answers = write_answers(tmp_path / "answers.csv", truth)
    found = estimate(tiny_run, root, Sample(200), state=tmp_path / "state", answers=[answers])
    accuracy = sum(correct.values()) / len(correct)
    assert found.interval is not None
    assert (found.phase, found.num_asked, found.num_answered) == ("done", 180, 180)
    assert (found.accuracy, *found.interval) == pytest.approx((accuracy,) * 3)
    assert found.num_incorrect == 180 - sum(correct.values())
    assert found.summary.startswith("A person labeled all 180 images; the run 'tiny' is correct on ")
    assert sum(one.num_images for one in found.classes) == 180
    predicted = sum(one.num_images * one.precision for one in found.classes if one.precision is not None)
    assert predicted == pytest.approx(sum(correct.values()), abs=MIN_ANSWERS * len(found.classes))


def test_an_estimate_from_a_sample(tiny_run, heap, correct, tmp_path):
    root, truth = heap
    sample = Sample(100, confidence=0.9999, seed=3)
    first = estimate(tiny_run, root, sample, state=tmp_path / "state", ask_to=tmp_path / "ask.csv")
    listed = [row["file_name"] for row in rows_of(tmp_path / "ask.csv")]
    assert (first.phase, first.accuracy, len(set(listed))) == ("sample", None, 100)
    assert {(row["label"], row["reason"]) for row in rows_of(tmp_path / "ask.csv")} == {("", "sample")}
    assert listed != sorted(listed)
    half = write_answers(tmp_path / "half.csv", {name: truth[name] for name in listed[:50]})
    again = estimate(tiny_run, root, state=tmp_path / "state", answers=[half], out=tmp_path / "labels.csv")
    assert (again.phase, again.num_answered, len(again.questions)) == ("sample", 50, 50)
    assert not (tmp_path / "labels.csv").exists()
    rest = write_answers(tmp_path / "rest.csv", {name: truth[name] for name in listed[50:]})
    done = estimate(tiny_run, root, sample, state=tmp_path / "state", answers=[rest], out=tmp_path / "labels.csv")
    assert (done.phase, done.num_answered, done.questions) == ("done", 100, ())
    assert done.interval is not None
    assert done.accuracy is not None
    # A wrong interval of this confidence is rarer than 1 in 10,000.
    assert done.interval[0] <= sum(correct.values()) / 180 <= done.interval[1]
    assert done.interval[0] <= done.accuracy <= done.interval[1]
    assert done.num_incorrect == sum(not correct[name] for name in listed)
    rows = rows_of(tmp_path / "labels.csv")
    assert {row["file_name"]: row["label"] for row in rows} == {name: truth[name] for name in listed}
    assert {row["who"] for row in rows} == {"person"}
    assert all(0.2 < float(row["probability_asked"]) <= 1 for row in rows)
    dataset = saccade.load(tmp_path / "labels.csv", reading=ReadingOptions(root=str(root)))
    assert sum(len(split) for split in dataset.splits.values()) == 100


def test_the_seed_decides_which_images_are_asked(tiny_run, heap, tmp_path):
    root, _ = heap
    asked = [
        estimate(tiny_run, root, Sample(60, seed=seed), state=tmp_path / f"state-{number}").questions
        for number, seed in enumerate((0, 0, 1))
    ]
    assert asked[0] == asked[1] != asked[2]


def test_not_sure_and_none_of_the_classes_count_as_errors_and_other_names_are_noted(tiny_run, heap, tmp_path):
    root, truth = heap
    given = {name: ("?", "-", "nul")[number % 3] for number, name in enumerate(truth)}
    answers = write_answers(tmp_path / "answers.csv", given)
    found = estimate(
        tiny_run, root, Sample(90), state=tmp_path / "state", answers=[answers], out=tmp_path / "labels.csv"
    )
    assert found.interval is not None
    assert (found.accuracy, found.num_incorrect) == (0, 90)
    assert found.interval[0] == 0
    named = found.num_answered - found.num_without_label
    assert any(f"each counts as an error of the run: 'nul' ({named})" in note for note in found.notes)
    assert {row["label"] for row in rows_of(tmp_path / "labels.csv")} == {"nul"}


def test_a_corrected_file_corrects_the_answers(tiny_run, heap, tmp_path):
    root, truth = heap
    state = tmp_path / "state"
    mistyped = write_answers(tmp_path / "mistyped.csv", dict.fromkeys(truth, "nul"))
    first = estimate(tiny_run, root, Sample(30), state=state, answers=[mistyped])
    assert first.accuracy == 0
    corrected = write_answers(tmp_path / "corrected.csv", truth)
    second = estimate(tiny_run, root, Sample(30), state=state, answers=[corrected], out=tmp_path / "labels.csv")
    assert any("corrected.csv' changes 30 answers" in note for note in second.notes)
    assert {row["file_name"]: row["label"] for row in rows_of(tmp_path / "labels.csv")}.items() <= truth.items()
    again = estimate(tiny_run, root, Sample(30), state=state, answers=[mistyped])
    assert again.accuracy == second.accuracy


def test_images_of_the_training_and_labels_of_the_data_are_noted(tiny_run, tiny_folder, heap, tmp_path):
    root, _ = heap
    found = estimate(tiny_run, root, state=tmp_path / "state")
    assert any("120 images of these were used in the training" in note for note in found.notes)
    labeled = estimate(tiny_run, tiny_folder, state=tmp_path / "labeled")
    assert "the labels of the data are not used" in labeled.notes


def p_values_of(run, images):
    found = [one.ood_p_value for one in saccade.predict(run, images, ood=True)]
    return [value for value in found if value is not None]


def test_the_out_of_distribution_share_is_that_of_predict(tiny_run, tiny_folder, heap, tmp_path):
    root, truth = heap
    found = estimate(tiny_run, root, Sample(60), state=tmp_path / "state")
    of_test = p_values_of(tiny_run, [tiny_folder / "test"])
    names = sorted(truth)
    p_values = p_values_of(tiny_run, [root / name for name in names])
    limit = limit_of(np.array(of_test))
    if limit is None:  # p-values of few validation images
        assert found.ood is None
        assert any("no out-of-distribution share: more than 5%" in note for note in found.notes)
        return
    assert found.ood is not None
    assert found.ood.num_beyond == sum(value <= limit for value in p_values)
    assert found.ood.share == pytest.approx(found.ood.num_beyond / 180)
    assert len(found.ood.farthest) == 20
    by_name = dict(zip(names, p_values, strict=True))
    assert max(by_name[name] for name in found.ood.farthest) <= sorted(p_values)[19] + 1e-9


def test_the_limit_leaves_at_most_five_percent_beyond():
    p_values = np.concatenate([np.full(3, 0.01), np.full(2, 0.02), np.linspace(0.03, 1, 95)])
    assert limit_of(p_values) == 0.02
    assert limit_of(np.full(50, 0.1)) is None


def test_a_run_whose_data_is_gone_has_an_estimate_without_the_share(run_copy, heap, tmp_path):
    root, _ = heap
    data = (run_copy.path / "data.json").read_text()
    (run_copy.path / "data.json").write_text(data.replace(run_copy.data_source, "/nowhere/data"))
    found = estimate(run_copy.path, root, Sample(60), state=tmp_path / "state")
    assert (found.phase, found.ood) == ("sample", None)
    assert any(note.startswith("no out-of-distribution share: ") for note in found.notes)


@pytest.mark.parametrize(
    ("accuracy", "begin"),
    [
        (Interval(0.8, 0.75, 0.84), "Lower than the test accuracy of 90.0% (85.0% to 93.0%, n = 200) by 10.0 points"),
        (Interval(0.99, 0.97, 1.0), "Higher than the test accuracy of 90.0%"),
        (Interval(0.88, 0.84, 0.91), "Not distinguishable from the test accuracy of 90.0%"),
    ],
)
def test_the_comparison_with_the_test_accuracy_in_words(run_copy, accuracy, begin):
    from saccade.labeling.accuracy_estimate import compare_with_test
    from saccade.runs.records import EvaluationRecord

    record = EvaluationRecord(
        weights="", accuracy_without_tta=None, total=200, n=200, accuracy=0.9, accuracy_interval=(0.85, 0.93)
    )
    assert compare_with_test(accuracy, record).startswith(begin)
    assert "saccade evaluate" in compare_with_test(accuracy, None)


def test_the_interval_of_a_difference_is_that_of_newcombe():
    """The example of Newcombe's table II: 56/70 and 48/80, method 10."""
    from saccade.evaluation.wilson_interval import wilson_interval

    first, second = Interval(0.8, *wilson_interval(56, 70)), Interval(0.6, *wilson_interval(48, 80))
    assert difference_interval(first, second) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_other_images_another_sample_other_weights_and_a_labeling_are_errors(tiny_run, run_copy, heap, tmp_path):
    root, _ = heap
    copied, state = tmp_path / "heap", tmp_path / "state"
    shutil.copytree(root, copied)
    estimate(run_copy, copied, Sample(60), state=state)
    with pytest.raises(DataError, match="has another sample") as caught:
        estimate(run_copy, copied, Sample(61), state=state)
    assert caught.value.found == "ask=60, confidence=0.95, seed=0"
    calibration = run_copy.path / "calibration.json"
    calibration.write_text(calibration.read_text().replace('"temperature": ', '"temperature": 1'))
    with pytest.raises(DataError, match="is of other weights"):
        estimate(run_copy, copied, state=state)
    (copied / "scan-000.png").unlink()
    with pytest.raises(DataError, match="not those with which the labeling began"):
        estimate(tiny_run, copied, state=state)
    Session.create(tmp_path / "labeling", {"phase": "learn"}, ["a.png"], ["00"]).close()
    with pytest.raises(DataError, match="is the state of a labeling"):
        estimate(tiny_run, root, state=tmp_path / "labeling")


@pytest.mark.parametrize("wrong", [{"ask": 0}, {"ask": 2.5}, {"ask": True}, {"confidence": 1.0}, {"confidence": 0}])
def test_a_sample_out_of_range_is_an_error(wrong):
    with pytest.raises(DataError, match="out of range"):
        replace(Sample(), **wrong)


def test_what_is_not_a_run_is_an_error_before_anything_is_read(heap, tmp_path):
    root, _ = heap
    with pytest.raises(RunError, match="is not a run"):
        estimate(tmp_path, root, state=tmp_path / "state")
    assert not list(tmp_path.iterdir())


def test_what_is_shown_to_a_person(run_copy, heap, tmp_path):
    root, truth = heap
    write_answers(tmp_path / "truth.csv", truth)
    saccade.evaluate(run_copy)
    first = run_here(["estimate", str(run_copy.path), str(root), "--ask", "120"], tmp_path)
    assert first.code == 0, first.stderr
    assert "0 of 120 images to ask are answered by a person" in first.stdout
    assert "--ask-to FILE writes the images to ask" in first.stderr
    assert (tmp_path / "estimate-run-heap.sqlite").is_file()
    done = run_here(["estimate", str(run_copy.path), str(root), "--answers", "truth.csv"], tmp_path)
    assert done.code == 0, done.stderr
    assert "accuracy on these 180 images: " in done.stdout
    assert " the test accuracy of " in done.stdout
    assert "On exactly these 180 images the accuracy of the run 'run' is estimated as " in done.stdout
    assert "predicted class  images  answers  precision" in done.stdout
