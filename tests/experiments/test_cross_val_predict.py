"""Out-of-fold predictions, one training for each fold."""

from types import SimpleNamespace

import numpy as np
import pytest

from saccade.auditing.audit import audit
from saccade.experiments.cross_val_predict import cross_val_predict
from saccade.recipes import get_recipe
from saccade.training import repeated_training
from saccade.training.repeated_training import Method, on_all_images
from saccade.training.train import train

METHOD = Method(on_all_images(get_recipe("folder").with_epochs(1).with_settings({"batch_size": 30})))


def test_each_image_is_predicted_by_the_network_that_was_not_trained_on_it(dataset, tmp_path, monkeypatch):
    images = dataset.splits["train"]
    folds = np.arange(len(images)) % 2
    trained, held_out, finished = [], [], []

    def recorded(data, **options):
        trained.append(set(data.splits["train"].names))
        return train(data, **options)

    def predict():
        return cross_val_predict(
            [METHOD, METHOD.with_seed(1)],
            dataset,
            folds,
            tmp_path,
            on_fold_begin=lambda fold, split: held_out.append((fold, set(split.names))),
            on_fold_end=lambda fold, predictions: finished.append((fold, predictions)),
        )

    monkeypatch.setattr(repeated_training, "train", recorded)
    probabilities = predict()
    assert probabilities.shape == (len(images), len(dataset.class_names))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert [fold for fold, _ in held_out] == [fold for fold, _ in finished] == [0, 1]
    for (fold, names), used, (_, predictions) in zip(held_out, trained, finished, strict=True):
        assert not names & used
        assert names | used == set(images.names)
        assert np.array_equal(probabilities[folds == fold], predictions.probabilities)
    assert np.array_equal(predict(), probabilities)
    assert len(trained) == 2


def test_an_interrupted_training_ends_the_audit(dataset, tmp_path, monkeypatch):
    interrupted = SimpleNamespace(status=lambda: SimpleNamespace(state="interrupted"))
    monkeypatch.setattr(repeated_training, "train", lambda *_, **__: interrupted)
    with pytest.raises(KeyboardInterrupt):
        audit(dataset, recipe="folder", folds=2, out=tmp_path / "audit")
    assert not any(tmp_path.iterdir())
