"""Runs trained on images in memory: they keep their fingerprint, and later commands take the images once more."""

import numpy as np
import pytest
from PIL import Image
from tests.snippets import run_here

import saccade
from saccade.errors import DataNotFoundError, EvaluationError
from saccade.recipes import get_recipe
from saccade.training.progress import Progress

COUNT = 90


@pytest.fixture(scope="module")
def data():
    """Three classes of different brightness; the last third of the images is the test split."""
    draw = np.random.default_rng(0)
    labels = np.arange(COUNT) % 3
    images = np.clip(draw.normal(0, 25, (COUNT, 32, 32, 3)) + 60 + 65 * labels[:, None, None, None], 0, 255)
    images = images.astype(np.uint8)
    return (images[:60], labels[:60]), (images[60:], labels[60:])


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("memory") / "run"
    return saccade.train(data, recipe="folder", epochs=20, out=out, progress=False)


def test_the_run_keeps_the_fingerprint(data, run):
    assert run.data_fingerprint == saccade.load(data).fingerprint
    assert run.data_source == "<images in memory>"
    assert run.data.num_images["test"] == 30


def test_evaluate_takes_the_images_once_more(data, run):
    report = saccade.evaluate(run, data=data)
    assert (report.n, report.split, report.left_out) == (30, "test", {})
    assert report.accuracy > 0.8
    assert report.files[0].name == "report.json"  # the run's own test split
    again = saccade.evaluate(run, data=saccade.load(data))
    assert again.accuracy == report.accuracy
    test_only = saccade.evaluate(run, data=data[1])
    np.testing.assert_array_equal(np.sort(test_only.probabilities, axis=0), np.sort(report.probabilities, axis=0))
    scaled = saccade.evaluate(run, data=((data[0][0] / 255, data[0][1]), (data[1][0] / 255, data[1][1])))
    assert scaled.data_fingerprint == report.data_fingerprint


def test_images_of_the_training_are_left_out_of_other_data(data, run):
    (images, labels), (test_images, test_labels) = data
    report = saccade.evaluate(run, data=(np.concatenate([images, test_images]), np.concatenate([labels, test_labels])))
    assert report.n == 30 or sum(report.left_out.values()) == 60
    with pytest.raises(EvaluationError, match="has no test images that are new"):
        saccade.evaluate(run, data=data[0])


def test_a_dataset_of_other_data_is_scored_whole_and_files_are_not_compared_with_pixels(run, tmp_path):
    draw = np.random.default_rng(1)
    other = np.clip(draw.normal(0, 25, (12, 32, 32, 3)) + 125, 0, 255).astype(np.uint8)
    for data in ((other, np.arange(12) % 3), saccade.load((other, np.arange(12) % 3))):
        assert saccade.evaluate(run, data=data).n == 12
    for number, image in enumerate(other):
        place = tmp_path / "files" / str(number % 3)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    notes = saccade.evaluate(run, data=tmp_path / "files").notes
    assert any("are not recognized among these" in note for note in notes)


def test_without_the_images_the_error_names_the_remedy(run, tmp_path):
    for function in (saccade.evaluate, saccade.report):
        with pytest.raises(DataNotFoundError, match="was trained on images in memory") as caught:
            function(run)
        assert "data=(images, labels)" in str(caught.value.remedy)
    done = run_here(["evaluate", str(run.path)], tmp_path)
    assert done.code == 1
    assert "trained on images in memory, which it does not keep" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_report_compare_and_predict(data, run, tmp_path):
    saccade.evaluate(run, data=data)
    page = saccade.report(run, data=data)
    assert page.page.is_file()
    second = saccade.train(data, recipe="folder", epochs=2, out=tmp_path / "second", progress=False)
    comparison = saccade.compare([run, second], data=data, out=tmp_path / "comparison")
    assert comparison.n == 30
    predictions = saccade.predict(run, data[1][0])
    assert (
        np.mean([one.top[0].class_name == str(label) for one, label in zip(predictions, data[1][1], strict=True)]) > 0.8
    )


class StopError(Exception):
    """Raised after the first epoch."""


class Stopping(Progress):
    """Callbacks that stop a training after its first epoch, as a crash would."""

    def on_epoch_end(self, record, seconds):
        raise StopError


@pytest.mark.long
def test_a_stopped_training_is_resumed_to_the_same_bytes(data, tmp_path):
    def train(out, callbacks=False):
        return saccade.train(
            data, recipe="folder", epochs=3, out=out, settings={"checkpoint_seconds": 0}, progress=callbacks
        )

    whole = train(tmp_path / "whole")

    with pytest.raises(StopError):
        train(tmp_path / "run", Stopping())
    with pytest.raises(DataNotFoundError, match="was trained on images in memory"):
        saccade.resume(tmp_path / "run", progress=False)
    resumed = saccade.resume(tmp_path / "run", data, progress=False)
    for name in ("weights.safetensors", "history.csv"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_other_functions_take_images_in_memory(data, tmp_path):
    assert saccade.explore(data).counts["train"] == {"0": 20, "1": 20, "2": 20}
    audit = saccade.audit(data, folds=0, out=tmp_path / "audit")
    assert audit.source == "<images in memory>"


@pytest.mark.long
def test_images_in_memory_are_cross_validated(data, tmp_path):
    folds = saccade.cross_validate(
        data, folds=2, recipe=get_recipe("folder").with_epochs(1), out=tmp_path / "folds", progress=False
    )
    assert folds.folds() is not None
