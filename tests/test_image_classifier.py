"""ImageClassifier inside scikit-learn's own tools."""

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from saccade import ImageClassifier
from saccade.errors import DataError

COUNT = 90
SETTINGS = {"batch_size": 16}


@pytest.fixture(scope="module")
def images():
    draw = np.random.default_rng(0)
    labels = np.arange(COUNT) % 3
    pixels = np.clip(draw.normal(0, 25, (COUNT, 32, 32, 3)) + 60 + 65 * labels[:, None, None, None], 0, 255)
    return pixels.astype(np.uint8)


LABELS = np.array(["low", "middle", "bright"])[np.arange(COUNT) % 3]


@pytest.fixture(scope="module")
def fitted(images):
    return ImageClassifier(recipe="folder", epochs=20, settings=SETTINGS).fit(images[:60], LABELS[:60])


def test_fit_predict_and_score(images, fitted):
    assert fitted.classes_.tolist() == ["bright", "low", "middle"]
    probabilities = fitted.predict_proba(images[60:])
    assert probabilities.shape == (30, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    predicted = fitted.predict(images[60:])
    assert (predicted == fitted.classes_[probabilities.argmax(axis=1)]).all()
    assert fitted.score(images[60:], LABELS[60:]) == np.mean(predicted == LABELS[60:]) > 0.8


def test_all_images_are_for_training_and_validation(fitted):
    numbers = fitted.run_.data.num_images
    assert (numbers["train"] + numbers["validation"], numbers["test"]) == (60, 0)
    assert not any("test split" in note for note in fitted.run_.data.notes)


def test_labels_keep_their_type(images, tmp_path):
    labels = np.array([10, 9, -1])[np.arange(COUNT) % 3]
    classifier = ImageClassifier(recipe="folder", epochs=20, settings=SETTINGS, out=tmp_path / "run").fit(
        images, labels
    )
    assert classifier.classes_.tolist() == [-1, 9, 10]
    assert classifier.predict(images[:6]).dtype == labels.dtype
    assert classifier.score(images, labels) > 0.8
    assert classifier.run_.path == tmp_path / "run"


def test_images_may_be_paths_and_images_of_pillow(images, fitted, tmp_path):
    paths = []
    for number, image in enumerate(images[60:]):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(image).save(paths[-1])
    expected = fitted.predict_proba(images[60:])
    np.testing.assert_allclose(fitted.predict_proba(paths), expected, atol=1e-6)
    np.testing.assert_allclose(fitted.predict_proba([Image.open(path) for path in paths]), expected, atol=1e-6)
    paths[4].write_bytes(b"text")
    with pytest.raises(DataError, match="image 4 can't be read"):
        fitted.predict(paths)


def test_parameters_and_clones(fitted):
    assert fitted.get_params()["epochs"] == 20
    copy = clone(fitted).set_params(epochs=2)
    assert (copy.epochs, copy.recipe, hasattr(copy, "run_")) == (2, "folder", False)
    with pytest.raises(Exception, match="not fitted"):
        copy.predict(np.zeros((1, 32, 32, 3)))


@pytest.mark.long
def test_cross_validation_pipeline_and_grid_search(images):
    classifier = ImageClassifier(recipe="folder", epochs=20, settings=SETTINGS)
    scores = cross_val_score(classifier, images, LABELS, cv=2)
    assert len(scores) == 2
    assert scores.mean() > 0.5
    pipeline = Pipeline([("scale", FunctionTransformer(lambda values: values / 255)), ("classify", classifier)])
    assert pipeline.fit(images[:60], LABELS[:60]).score(images[60:], LABELS[60:]) > 0.5
    search = GridSearchCV(classifier, {"epochs": [1, 20]}, cv=2).fit(images, LABELS)
    assert search.best_params_["epochs"] in (1, 20)
    assert search.best_estimator_.score(images, LABELS) > 0.5
