"""Predictions of images from files, folders, globs and datasets."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import saccade
from saccade.data.fixes import read_fixes
from saccade.errors import DataError
from saccade.inference.image_inputs import DatasetImage, find_images
from saccade.inference.predictor import Predictor


@pytest.fixture
def mixed(tiny_folder, tmp_path):
    """Create a folder with two images, a text file with an image suffix, a hidden file and an image in a subfolder."""
    folder = tmp_path / "mixed"
    (folder / "deeper").mkdir(parents=True)
    for source, name in (("null/40.png", "a.png"), ("one/40.png", "b [1].png"), ("two/40.png", "deeper/c.png")):
        shutil.copy(tiny_folder / "test" / source, folder / name)
    (folder / "d.jpg").write_text("not an image")
    (folder / ".hidden.png").write_text("")
    return folder


def test_predictions_are_in_the_order_of_the_inputs(tiny_run, mixed):
    sources = [mixed, mixed / "a.png", mixed / "a.png", str(mixed / "*.png"), f"{mixed}/deeper/../a.png"]
    sources += [mixed / "missing.png", mixed / "missing.png"]
    expected = ["a.png", "b [1].png", "d.jpg", "deeper/c.png", "a.png", "a.png", "a.png", "b [1].png"]
    expected += ["deeper/../a.png", "missing.png", "missing.png"]

    predictions = saccade.predict(tiny_run, sources)

    assert [prediction.name for prediction in predictions] == [str(mixed / name) for name in expected]
    unreadable = {
        prediction.name: prediction.unreadable_reason for prediction in predictions if prediction.unreadable_reason
    }
    assert set(unreadable) == {str(mixed / "d.jpg"), str(mixed / "missing.png")}
    assert all(unreadable.values())
    assert len({prediction.top for prediction in predictions if prediction.name.endswith("a.png")}) == 1


def test_tensorflow_is_not_loaded_before_decoding_has_begun():
    script = "import sys, saccade.inference.predict; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_probabilities_equal_those_of_the_saved_network_up_to_rounding(tiny_run, tiny_folder):
    predictor = Predictor.from_run(tiny_run)
    images = saccade.load(tiny_folder).splits["test"].take(slice(None))
    saved = keras.saving.load_model(tiny_run.path / "model.keras", compile=False)
    expected = saved.predict_on_batch(images)
    np.testing.assert_allclose(predictor.probabilities(images), expected, atol=1e-5)


def test_top_classes_are_those_of_the_network(tiny_run, mixed):
    (prediction,) = saccade.predict(tiny_run, [mixed / "a.png"], top=3)
    image = np.asarray(Image.open(mixed / "a.png"))
    expected = Predictor.from_run(tiny_run).probabilities(image[None])[0]
    assert [one.class_name for one in prediction.top] == [
        tiny_run.class_names[i] for i in np.argsort(-expected, kind="stable")
    ]
    assert [one.probability for one in prediction.top] == pytest.approx(sorted(expected, reverse=True), abs=1e-6)
    assert sum(one.probability for one in prediction.top) == pytest.approx(1, abs=1e-6)


def test_top_limits_the_classes(tiny_run, mixed):
    (prediction,) = saccade.predict(tiny_run, [mixed / "a.png"], top=1)
    assert len(prediction.top) == 1
    (prediction,) = saccade.predict(tiny_run, [mixed / "a.png"], top=50)
    assert len(prediction.top) == 3


def test_a_dataset_image_has_its_true_class(tiny_run, tiny_folder):
    predictions = saccade.predict(tiny_run, [f"{tiny_folder}:test:{index}" for index in (0, 20, 40)])
    assert [prediction.true_class for prediction in predictions] == ["null", "one", "two"]
    split = saccade.load(tiny_folder).splits["test"]
    expected = Predictor.from_run(tiny_run).probabilities(split.take(np.array([0, 20, 40])))
    for prediction, row in zip(predictions, expected, strict=True):
        assert prediction.top[0].probability == pytest.approx(row.max(), abs=1e-6)


@pytest.fixture
def fixed_run(run_copy, tiny_folder, tmp_path):
    """Create a run of `tiny_folder` that drops the first test image of a null, so that test image 19 is a one."""
    (tmp_path / "fixes.csv").write_text("path,split,action,class\ntest/null/40.png,test,drop,\n")
    run_copy.write_fixes(read_fixes(tmp_path / "fixes.csv"))
    record = json.loads((run_copy.path / "data.json").read_text())
    fingerprint = saccade.load(tiny_folder, fixes=tmp_path / "fixes.csv").fingerprint
    (run_copy.path / "data.json").write_text(json.dumps(record | {"fingerprint": fingerprint}))
    return saccade.Run.open(run_copy.path)


def test_the_runs_fixes_apply_to_its_data_under_any_name(fixed_run, tiny_folder, tmp_path, monkeypatch):
    (tmp_path / "linked").symlink_to(tiny_folder)
    shutil.copytree(tiny_folder, tmp_path / "copied")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tiny_folder)
    monkeypatch.chdir(tiny_folder.parent)
    monkeypatch.setenv("SACCADE_DATA", str(tmp_path))
    names = [str(tiny_folder), "tiny", "./tiny/", "tiny/../tiny", str(tmp_path / "linked"), "linked", "copied", archive]

    predictions = saccade.predict(fixed_run, [f"{name}:test:19" for name in names])

    assert {prediction.name: prediction.true_class for prediction in predictions} == {
        f"{name}:test:19": "one" for name in names
    }
    assert saccade.evaluate(fixed_run, data="tiny").n == 59


def test_the_runs_fixes_do_not_apply_to_other_data(fixed_run, tiny_folder, tmp_path):
    other = shutil.copytree(tiny_folder, tmp_path / "other")
    (other / "test" / "two" / "59.png").unlink()

    (prediction,) = saccade.predict(fixed_run, f"{other}:test:19")

    assert prediction.true_class == "null"


def test_a_source_without_images_is_an_error(tiny_run, tiny_folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image in the folder"):
        saccade.predict(tiny_run, [tmp_path / "empty"])
    with pytest.raises(DataError, match="no image matches"):
        saccade.predict(tiny_run, [str(tmp_path / "*.png")])
    with pytest.raises(DataError, match="does not exist") as caught:
        saccade.predict(tiny_run, [f"{tiny_folder}:test:60"])
    assert caught.value.expected == "an index from 0 to 59"


def test_a_single_path_is_one_image(tiny_run, mixed):
    assert len(saccade.predict(tiny_run, str(mixed / "a.png"))) == 1


def test_files_take_precedence_over_dataset_images(tmp_path):
    (tmp_path / "x:test:3").write_text("a file of that name comes first")
    found = find_images([tmp_path / "x:test:3", "cifar10:test:7", "nothing.png"]).images
    assert found[0] == tmp_path / "x:test:3"
    assert found[1] == DatasetImage("cifar10", "test", 7)
    assert str(found[2]) == "nothing.png"


def test_more_images_than_a_batch_keep_their_order(tiny_run, tiny_folder):
    files = sorted((tiny_folder / "train").rglob("*.png")) + sorted((tiny_folder / "test").rglob("*.png"))
    predictions = saccade.predict(tiny_run, files)
    assert [prediction.name for prediction in predictions] == [str(file) for file in files]
    alone = saccade.predict(tiny_run, files[::37])
    for one, file in zip(alone, files[::37], strict=True):
        same = predictions[files.index(file)]
        assert one.top[0].probability == pytest.approx(same.top[0].probability, abs=1e-6)
