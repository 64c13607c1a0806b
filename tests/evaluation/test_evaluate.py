"""Evaluation of a small run: metrics, files, splits, other data, and errors."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

import saccade
from saccade.data.dataset import Split
from saccade.errors import DataError, EvaluationError, RunError
from saccade.evaluation.evaluate import require_each_once
from saccade.inference.onnx_model import load_inference_onnx
from saccade.inference.predictor import Predictor
from saccade.runs.predictions import Predictions
from saccade.runs.run import Run


@pytest.fixture
def run(tiny_run, tmp_path):
    """Copy of the run for one test."""
    return _copy(tiny_run, tmp_path / "run")


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """Copy of the data for one test."""
    return shutil.copytree(tiny_folder, tmp_path / "copied")


def _copy(run, path, **records):
    """Copy a run and change keys of its JSON records, such as data={"source": ...}."""
    shutil.copytree(run.path, path, ignore=shutil.ignore_patterns("model.keras", "report*", "*.png"))
    for name, changes in records.items():
        record = path / f"{name}.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | changes))
    return Run.open(path)


def test_metrics_are_those_of_the_predicted_probabilities(run, tiny_folder):
    split = saccade.load(tiny_folder).splits["test"]
    probabilities = Predictor.from_run(run).probabilities(split.take(slice(None))).astype(np.float64)
    correct = probabilities.argmax(axis=1) == split.labels

    report = saccade.evaluate(run)

    assert report.n == report.total == len(split) == 60
    assert report.scored == "60"
    assert report.accuracy == pytest.approx(correct.mean())
    assert report.accuracy_interval[0] < report.accuracy < report.accuracy_interval[1] or correct.all()
    of_truth = np.maximum(probabilities[np.arange(60), split.labels], np.finfo(np.float64).eps)
    assert report.log_loss == pytest.approx(-np.log(of_truth).mean(), rel=1e-5)
    assert report.top3_accuracy == 1.0
    assert np.trace(report.confusion_matrix) == correct.sum()
    assert report.confusion_matrix.sum(axis=1).tolist() == [20, 20, 20]
    assert list(report.per_class) == ["null", "one", "two"]
    assert set(report.averages) == {"macro", "weighted"}
    assert 0 <= report.expected_calibration_error <= 1


@pytest.mark.long
def test_metrics_with_and_without_test_time_augmentation_are_reported(narrow_fast, tiny_folder, tmp_path):
    settings = {"initial_scale": 0.5, "final_scale": 0.5, "min_steps_per_epoch": 4}
    run = saccade.train(tiny_folder, recipe="fast", out=tmp_path / "run", epochs=1, settings=settings, progress=False)
    report = saccade.evaluate(run)
    assert report.without_tta is not None
    test = saccade.load(tiny_folder).splits["test"]
    images = test.take(slice(None))
    onnx = load_inference_onnx(run)
    assert onnx is not None
    augmented, unaugmented = onnx.probabilities_with_and_without_tta(test)
    for tta_views, accuracy, found in ((1, report.without_tta.accuracy, unaugmented), (6, report.accuracy, augmented)):
        probabilities = Predictor.from_run(run, tta_views=tta_views).probabilities(images)
        assert accuracy == (probabilities.argmax(axis=1) == test.labels).mean()
        np.testing.assert_allclose(found, probabilities, atol=1e-5)
    # A run of a version whose model.onnx has no second output, or has none at all.
    (run.path / "model.onnx").unlink()
    again = saccade.evaluate(run)
    assert again.without_tta is not None
    assert again.without_tta.accuracy == report.without_tta.accuracy
    assert report.tta_views == 6
    assert json.loads(report.files[0].read_text())["accuracy_without_tta"] == report.without_tta.accuracy


def test_report_json_is_the_returned_report(run):
    report = saccade.evaluate(run.path)

    assert [path.name for path in report.files] == [
        "report.json", "predictions.safetensors", "confusion_matrix.png", "predictions.png",
    ]  # fmt: skip
    assert {path.parent for path in report.files} == {run.path.resolve()}
    for path in report.files[2:]:
        with Image.open(path) as plot:
            assert len(np.unique(np.asarray(plot.convert("L")))) > 10
    assert json.loads((run.path / "report.json").read_text()) == report.to_dict()


def test_the_predictions_are_saved(run, tiny_folder):
    saccade.evaluate(run)
    predictions = run.predictions("predictions.safetensors")
    test = saccade.load(tiny_folder).splits["test"]
    np.testing.assert_array_equal(predictions.labels, test.labels)
    by_tensorflow = Predictor.from_run(run).probabilities(test.take(slice(None)))
    np.testing.assert_allclose(predictions.probabilities, by_tensorflow, atol=1e-5)
    assert [bytes(row).hex() for row in predictions.hashes] == list(test.hashes)


def test_damaged_predictions_and_predictions_of_another_run_are_errors(run):
    saccade.evaluate(run)
    path = run.path / "predictions.safetensors"
    whole = path.read_bytes()
    for contents in (whole[:-1], b"", save({"labels": np.zeros(3, np.int64)})):
        path.write_bytes(contents)
        with pytest.raises(RunError):
            run.predictions("predictions.safetensors")
    foreign = Predictions(np.zeros(2, np.int64), np.full((2, 7), 1 / 7, np.float32), np.zeros((2, 16), np.uint8))
    run.write_predictions("predictions.safetensors", foreign)
    with pytest.raises(RunError, match="does not hold the predictions of this run"):
        run.predictions("predictions.safetensors")
    path.write_bytes(whole)


@pytest.mark.long
def test_a_second_evaluation_has_the_same_result(run):
    first = saccade.evaluate(run).to_dict()

    assert saccade.evaluate(run).to_dict() == first
    assert not list(run.path.glob(".tmp*"))


def test_validation_and_train_are_the_splits_of_the_training(run, tiny_folder):
    validation = saccade.evaluate(run, split="validation")
    train = saccade.evaluate(run, split="train")

    assert validation.n == run.data.num_images["validation"] > 0
    assert train.n == run.data.num_images["train"]
    assert train.n + validation.n == len(saccade.load(tiny_folder).splits["train"])
    assert validation.accuracy == pytest.approx(run.history()[-1].validation_accuracy)
    assert {path.name for path in validation.files} == {
        "report-validation.json",
        "predictions-validation.safetensors",
        "confusion_matrix-validation.png",
        "predictions-validation.png",
    }
    assert not (run.path / "report.json").exists()


def test_the_datas_own_validation_split_has_priority(run, folder):
    shutil.copytree(folder / "test", folder / "validation")
    (folder / "validation" / "one" / "40.png").unlink()

    report = saccade.evaluate(run, data=folder, split="validation")

    assert report.n == 59


def test_a_missing_validation_split_is_an_error(tiny_run, tmp_path):
    run = _copy(tiny_run, tmp_path / "run", recipe={"validation_split": 0.0})
    split_file = run.path / "split.csv"
    split_file.write_text(split_file.read_text().replace("validation,", "train,"))

    with pytest.raises(EvaluationError, match="has no validation images") as caught:
        saccade.evaluate(run, split="validation")

    assert "--split test" in str(caught.value)
    assert saccade.evaluate(run, split="train").n == 120


def test_results_on_other_data_have_their_own_files(run, folder):
    (folder / "test" / "two" / "41.png").unlink()

    report = saccade.evaluate(run, data=str(folder))

    assert report.n == 59
    mark = f"-test-copied-{report.data_fingerprint[:8]}"
    assert [path.name for path in report.files] == [
        f"report{mark}.json",
        f"predictions{mark}.safetensors",
        f"confusion_matrix{mark}.png",
        f"predictions{mark}.png",
    ]
    assert report.data_fingerprint != run.data_fingerprint


def test_the_same_data_at_another_path_is_the_runs_own_data(run, folder):
    report = saccade.evaluate(run, data=folder)

    assert report.data_fingerprint == run.data_fingerprint
    assert report.files[0].name == "report.json"


def _fixes(path, *lines):
    path.write_text("\n".join(["path,split,action,class", *lines, ""]))
    return path


def _files_in(run):
    return {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}


def test_results_with_other_fixes_have_their_own_files(run, tmp_path):
    first = _fixes(tmp_path / "first.csv", "test/null/40.png,test,drop,")
    second = _fixes(tmp_path / "second.csv", "test/null/40.png,test,drop,", "test/one/41.png,test,drop,")
    saccade.evaluate(run)
    own = _files_in(run)

    reports = [saccade.evaluate(run, fixes=first), saccade.evaluate(run, fixes=second)]

    assert own.items() <= _files_in(run).items()
    assert [json.loads(report.files[0].read_text())["n"] for report in reports] == [59, 58]
    assert not set(reports[0].files) & set(reports[1].files)
    assert not any("has changed since the training" in note for note in reports[0].notes)


@pytest.mark.long
def test_fixes_without_effect_have_the_runs_own_files(run, tmp_path):
    report = saccade.evaluate(run, fixes=_fixes(tmp_path / "kept.csv", "test/null/40.png,test,keep,"))

    assert report.files[0].name == "report.json"


@pytest.mark.long
def test_two_folders_with_the_same_long_name_have_different_files(run, tiny_folder, tmp_path):
    reports = []
    for place, removed in (("here", "41.png"), ("there", "42.png")):
        data = shutil.copytree(tiny_folder, tmp_path / place / ("画" * 80))
        (data / "test" / "two" / removed).unlink()
        reports.append(saccade.evaluate(run, data=data))

    assert not set(reports[0].files) & set(reports[1].files)
    assert all(json.loads(report.files[0].read_text()) == report.to_dict() for report in reports)
    assert all(path.name.partition("-test-")[2].startswith("画" * 20) for report in reports for path in report.files)


@pytest.mark.long
def test_images_of_other_sizes_are_resized(run, folder):
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            enlarged = image.resize((64, 50))
        enlarged.save(path)

    assert saccade.evaluate(run, data=folder).n == 60


def test_unreadable_images_are_reported(run, folder):
    (folder / "test" / "one" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")

    report = saccade.evaluate(run, data=folder)

    assert (report.n, report.total, report.scored) == (60, 61, "60 of 61")
    assert [image.path for image in report.unreadable] == ["test/one/broken.png"]
    assert report.to_dict()["unreadable"][0]["reason"]
    assert saccade.evaluate(run, data=folder, split="train").notes == (
        "images of the data that can't be read, outside this split: 1",
    )


def test_unknown_classes_are_reported(run, folder):
    for split in ("train", "test"):
        (folder / split / "two").rename(folder / split / "deux")

    with pytest.raises(DataError, match="the data has classes that the run does not know") as caught:
        saccade.evaluate(run, data=folder)

    assert caught.value.expected == "the classes null, one, two"
    assert caught.value.found == "deux"
    assert not list(run.path.glob("report*"))


@pytest.mark.long
def test_a_missing_class_has_no_images_in_the_report(run, folder):
    for split in ("train", "test"):
        shutil.rmtree(folder / split / "two")

    report = saccade.evaluate(run, data=folder)

    assert {name: scores.num_images for name, scores in report.per_class.items()} == {"null": 20, "one": 20, "two": 0}
    assert any("no images of the class two" in note for note in report.notes)


def test_data_that_changed_since_the_training(tiny_run, folder, tmp_path):
    run = _copy(tiny_run, tmp_path / "run", data={"source": str(folder)})
    shutil.copy(folder / "train" / "one" / "03.png", folder / "train" / "one" / "extra.png")

    report = saccade.evaluate(run)
    assert any("has changed since the training" in note for note in report.notes)
    for split in ("validation", "train"):
        with pytest.raises(EvaluationError, match=f"the {split} split of the run is unknown") as caught:
            saccade.evaluate(run, split=split)
        assert "--data" in str(caught.value)
    named = saccade.evaluate(run, data=folder, split="train")
    assert named.files[0].name == f"report-train-copied-{named.data_fingerprint[:8]}.json"


def test_a_missing_run_missing_data_and_an_unknown_split_are_errors(run, tmp_path):
    with pytest.raises(RunError, match="is not a run"):
        saccade.evaluate(tmp_path)
    with pytest.raises(DataError):
        saccade.evaluate(run, data=tmp_path / "nowhere")
    with pytest.raises(EvaluationError, match="no split 'all'"):
        saccade.evaluate(run, split="all")  # type: ignore[arg-type]


def _split(n=4):
    return Split(
        store=np.zeros((n, 8, 8, 3), np.uint8),
        rows=np.arange(n),
        labels=np.arange(n) % 2,
        names=[str(i) for i in range(n)],
        hashes=[str(i) for i in range(n)],
        sizes=np.full((n, 2), 8, np.int32),
        modes=["RGB"] * n,
        formats=["PNG"] * n,
        duplicate_groups=np.arange(n),
    )


def test_a_split_scored_exactly_once_passes():
    require_each_once(_split(), np.full((4, 2), 0.5, np.float32), 2)


@pytest.mark.parametrize(
    ("rows", "probabilities", "found"),
    [
        ([0, 1, 2, 2], np.full((4, 2), 0.5), "images that the split contains more than once: 1"),
        ([0, 1, 2, 3], np.full((3, 2), 0.5), "4 images and 2 classes, but scores of shape (3, 2)"),
        ([0, 1, 2, 3], np.full((4, 3), 1 / 3), "4 images and 2 classes, but scores of shape (4, 3)"),
        ([0, 1, 2, 3], np.full((4, 2), np.nan), "scores that are negative or not finite"),
        ([0, 1, 2, 3], np.tile([1.5, -0.5], (4, 1)), "scores that are negative or not finite"),
        ([0, 1, 2, 3], np.full((4, 2), 0.6), "scores that do not sum to 1 for each image"),
    ],
)
def test_missing_rows_repeated_images_and_invalid_probabilities_are_errors(rows, probabilities, found):
    images = replace(_split(), rows=np.array(rows))

    with pytest.raises(EvaluationError, match="not scored exactly once each") as caught:
        require_each_once(images, probabilities.astype(np.float32), 2)

    assert caught.value.found == found
