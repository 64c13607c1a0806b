"""Transfer learning: pretrained weights are kept, used and never mixed up."""

import re
import shutil

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import saccade
from saccade.errors import RecipeError, RunError, TrainingError
from saccade.inference.onnx_model import load_inference_onnx
from saccade.inference.predictor import Predictor
from saccade.models.head import without_head
from saccade.models.networks.backbones import BACKBONES
from saccade.training.progress import Progress
from saccade.training.transfer_learning.pretrained import PretrainedModel

# Digits are not flipped: with flips, networks of three seeds had 25 to 31 of 40 predictions correct, without 31 or 32.
FEW = {"plain_epochs": 1, "augmented_epochs": 2, "horizontal_flip": False}
# Frozen layers keep their moving averages, although those of the other layers are recalibrated.
ALL = FEW | {"keep": "last", "batchnorm_recalibration_batches": 2}


@pytest.fixture(scope="module")
def source(narrow_fast, tiny_folder, tmp_path_factory):
    """A run of a narrow `fast` on the three digits."""
    settings = {"validation_split": 0.2, "tta_views": 1, "initial_scale": 1, "final_scale": 1}
    return saccade.train(
        tiny_folder, recipe="fast", epochs=5, out=tmp_path_factory.mktemp("source") / "run", settings=settings,
        progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def others(tiny_folder, tmp_path_factory):
    """A folder of two classes that the source was not trained on."""
    root = tmp_path_factory.mktemp("others") / "pair"
    for split in ("train", "test"):
        shutil.copytree(tiny_folder / split / "one", root / split / "upright")
        shutil.copytree(tiny_folder / split / "null", root / split / "round")
    return root


@pytest.fixture(scope="module")
def transferred(source, others, tmp_path_factory):
    return saccade.transfer(
        others, source, out=tmp_path_factory.mktemp("transferred") / "run", settings=ALL, progress=False
    )


def test_the_lower_layers_are_those_of_the_source_and_the_head_is_new(source, transferred):
    before, after = source.weights(), transferred.weights()
    assert after["classes/kernel"].shape == (32, 2)
    assert before["classes/kernel"].shape == (32, 3)
    for name in ("stem/kernel", "stem/bias", "norm3b/moving_mean", "norm3b/moving_variance", "norm3b/beta"):
        np.testing.assert_array_equal(after[name], before[name])
    assert not np.array_equal(after["conv3b/kernel"], before["conv3b/kernel"])
    record = transferred.source()
    assert record is not None
    assert record.name == source.name
    assert [epoch.phase for epoch in transferred.history()] == ["head", "augmented", "augmented"]


def test_muon_trains_with_small_batches_at_the_rates_of_large_ones(source):
    """At the full rate for large batches, biases would diverge within the first epoch."""
    assert source.recipe.batch_size_for(96) == 16 < source.recipe.batch_size
    # Six seeds gave 93.5% to 97.2%, with a standard deviation of 1.5%: 0.8 is ten deviations below the mean.
    assert source.history()[-1].accuracy > 0.8


def test_a_transfer_classifies_classes_that_its_source_was_not_trained_on(transferred):
    assert saccade.evaluate(transferred).n == 40
    predictions = transferred.predictions("predictions.safetensors")
    # 1.0 with each of four seeds; random predictions exceed 0.85 with a probability of 1 in 10,000.
    assert roc_auc_score(predictions.labels, predictions.probabilities[:, 1]) > 0.85
    assert transferred.calibration() is not None
    assert load_inference_onnx(transferred) is not None


def test_fitting_only_the_head_keeps_all_other_weights_and_agrees_with_scikit_learn(source, others, tmp_path):
    """The reference is scikit-learn's logistic regression on features from stock Keras."""
    from sklearn.linear_model import LogisticRegression

    run = saccade.transfer(
        others,
        source,
        epochs=1,
        out=tmp_path / "run",
        settings={"validation_split": 0, "horizontal_flip": False},
        progress=False,
    )
    for name, weight in source.weights().items():
        if not name.startswith("classes/"):
            np.testing.assert_array_equal(run.weights()[name], weight)
    dataset = saccade.load(others)
    training, test = dataset.splits["train"], dataset.splits["test"]
    model = Predictor.from_run(run).model
    features = keras.Model(model.input, model.get_layer("classes").input)
    of = lambda split: features.predict_on_batch(split.take(slice(None)).astype(np.float32))  # noqa: E731
    spread = of(training).std(axis=0) + 1e-12
    reference = LogisticRegression(fit_intercept=False, C=1.0, max_iter=1000)
    reference.fit(of(training) / spread, training.labels)
    probabilities = Predictor.from_run(run).probabilities_of(test)
    predictions = probabilities.argmax(axis=1)
    assert (predictions == reference.predict(of(test) / spread)).mean() > 0.9
    assert roc_auc_score(test.labels, probabilities[:, 1]) > 0.85


@pytest.mark.long
def test_the_progress_of_the_fit_of_the_head_is_printed(source, others, tmp_path, capfd):
    saccade.transfer(others, source, epochs=1, out=tmp_path / "run")
    assert re.search(r"^head: (\d+) of \1 penalties$", capfd.readouterr().err, re.MULTILINE)


@pytest.mark.long
def test_features_are_computed_once(source, others, tmp_path, monkeypatch):
    from saccade.training.transfer_learning import features

    counted: list[int] = []
    original = features.in_parallel

    def counting(run, pixels, advance):
        counted.append(len(pixels))
        return original(run, pixels, advance)

    monkeypatch.setattr(features, "in_parallel", counting)
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    saccade.transfer(others, source, epochs=1, out=tmp_path / "one", progress=False)
    assert counted == [64, 64, 16]  # training images, their mirror images, and validation images
    saccade.transfer(others, source, epochs=1, out=tmp_path / "other", settings={"rotation": 1}, progress=False)
    assert counted == [64, 64, 16]


@pytest.mark.long
def test_equal_trainings_have_equal_bits_with_and_without_the_cache(source, others, transferred, tmp_path, monkeypatch):
    # The dtype is set, because the empty cache would measure it again, perhaps with another result.
    same = {**ALL, "compute": transferred.environment().compute_dtype}
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    again = saccade.transfer(others, source, out=tmp_path / "run", settings=same, progress=False)
    for name, weight in transferred.weights().items():
        np.testing.assert_array_equal(again.weights()[name], weight)


class PowerCutError(Exception):
    """Simulated power cut after the second epoch's checkpoint."""


class PowerCut(Progress):
    def on_epoch_end(self, record, seconds):
        if record.epoch == 2:
            raise PowerCutError


@pytest.mark.long
def test_a_transfer_is_resumed_without_its_source_to_the_same_bits(source, others, transferred, tmp_path):
    source_copy = shutil.copytree(source.path, tmp_path / "source")
    settings = ALL | {"checkpoint_seconds": 0}
    with pytest.raises(PowerCutError):
        saccade.transfer(others, source_copy, out=tmp_path / "run", settings=settings, progress=PowerCut())
    shutil.rmtree(source_copy)
    resumed = saccade.resume(tmp_path / "run", progress=False)
    for name, weight in transferred.weights().items():
        np.testing.assert_array_equal(resumed.weights()[name], weight)
    record, expected = resumed.source(), transferred.source()
    assert record is not None
    assert expected is not None
    assert record.fingerprint == expected.fingerprint


@pytest.mark.long
def test_resuming_a_transfer_without_its_pretrained_weights_is_an_error(source, others, tmp_path):
    run = saccade.transfer(others, source, epochs=1, out=tmp_path / "run", progress=False)
    shutil.rmtree(run.path / "checkpoints")
    run.write_status(run.status().model_copy(update={"state": "running"}))
    with pytest.raises(RunError, match=r"pretrained weights of .* are lost"):
        saccade.resume(run, progress=False)


@pytest.mark.long
def test_fine_tuning_that_lowers_the_accuracy_is_discarded(source, others, tmp_path):
    settings = FEW | {"learning_rate": 0.5, "validation_split": 0.3, "warmup_epochs": 0}
    run = saccade.transfer(others, source, out=tmp_path / "run", settings=settings, progress=False)
    head, *_, last = [epoch.validation_accuracy or 0 for epoch in run.history()]
    assert head > last
    assert run.status().kept_epoch == 1
    np.testing.assert_array_equal(run.weights()["conv3b/kernel"], source.weights()["conv3b/kernel"])


@pytest.mark.long
def test_a_weights_file_as_source_gives_the_same_weights_as_its_run(source, others, tmp_path):
    shutil.copy(source.path / "weights.safetensors", tmp_path / "mine.safetensors")
    of_file, of_run = (
        saccade.transfer(others, given, epochs=1, out=tmp_path / name, progress=False)
        for name, given in (("file", tmp_path / "mine.safetensors"), ("run", source))
    )
    for name, weight in of_run.weights().items():
        np.testing.assert_array_equal(of_file.weights()[name], weight)


@pytest.mark.long
def test_a_transferred_run_is_exported_reported_and_used_as_a_source(transferred, others, tmp_path):
    assert saccade.export(transferred, format="onnx", out=tmp_path / "m.onnx").num_images > 0
    saccade.evaluate(transferred)
    card = saccade.report(transferred).card
    assert card is not None
    assert "The pretrained weights are from run " in card.read_text()
    again = saccade.transfer(others, transferred, epochs=1, out=tmp_path / "again", progress=False)
    np.testing.assert_array_equal(again.weights()["conv3b/kernel"], transferred.weights()["conv3b/kernel"])


def test_invalid_sources_are_errors(tmp_path, tiny_folder, tiny_run, others):
    with pytest.raises(TrainingError, match="there is no source") as caught:
        PretrainedModel.of("MobileNetV3")
    assert "MobileNetV3Small" in str(caught.value.remedy)
    (tmp_path / "some.h5").write_bytes(b"")
    with pytest.raises(TrainingError, match="can't be the source of a transfer"):
        PretrainedModel.of(tmp_path / "some.h5")
    with pytest.raises(TrainingError, match="goes with a network of keras"):
        PretrainedModel.of(tiny_run, tmp_path / "some.h5")
    with pytest.raises(TrainingError, match="there is no file"):
        PretrainedModel.of("MobileNetV3Small", tmp_path / "none.h5")
    with pytest.raises(TrainingError, match="needs a pretrained network"):
        saccade.train(tiny_folder, recipe="transfer", out=tmp_path / "run")
    with pytest.raises(TrainingError, match="that of its source"):
        saccade.transfer(others, tiny_run, settings={"network": "fast"}, out=tmp_path / "run")
    with pytest.raises(TrainingError, match="don't fit a network for this data"):
        saccade.transfer(others, tiny_run, settings={"image_size": 48}, out=tmp_path / "run", progress=False)
    with pytest.raises(RecipeError, match="no fitted head"):
        saccade.get_recipe("fast").with_settings({"keep": "if_improved"})
    assert not (tmp_path / "run").exists()


def test_a_weights_file_without_the_name_of_its_network_is_an_error(source, tmp_path):
    from safetensors.numpy import save_file

    save_file(source.weights(), tmp_path / "plain.safetensors")
    with pytest.raises(TrainingError, match="does not name the network"):
        PretrainedModel.of(tmp_path / "plain.safetensors")


def test_training_images_of_the_source_do_not_become_validation_images(tiny_run, tiny_folder, tmp_path, capfd):
    """Otherwise the network would be validated and calibrated on its training images."""
    recorded = tiny_run.split_of()
    run = saccade.transfer(
        tiny_folder,
        tiny_run,
        epochs=1,
        settings={"seed": tiny_run.recipe.seed + 1},
        out=tmp_path / "run",
        progress=Progress(),
    )
    assert {content for content, split in run.split_of().items() if split == "validation"} == {
        content for content, split in recorded.items() if split == "validation"
    }
    assert (
        f"note: {len(recorded)} images of the data belonged to the data of '{tiny_run.name}'" in capfd.readouterr().err
    )


def test_features_do_not_depend_on_the_other_images_of_a_batch(source, others, tmp_path, monkeypatch):
    from saccade.training.transfer_learning.features import FeatureExtractor

    split = saccade.load(others).splits["train"]
    network = without_head(Predictor.from_run(source).model)
    found = []
    for number, positions in enumerate((np.arange(len(split)), np.arange(len(split))[::-1], np.arange(7))):
        monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / f"{number}"))
        extract = FeatureExtractor(network, "fingerprint", source.preprocessing, "tiny")
        features = extract(split.subset(positions), False, lambda n: None)
        found.append(dict(zip(positions.tolist(), features, strict=True)))
    for others_found in found[1:]:
        for position, features in others_found.items():
            np.testing.assert_array_equal(features, found[0][position])


def test_damaged_features_in_the_cache_are_computed_again(source, others, tmp_path, monkeypatch):
    from saccade.training.transfer_learning.features import FeatureExtractor

    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path))
    split = saccade.load(others).splits["train"]
    network = without_head(Predictor.from_run(source).model)
    extract = FeatureExtractor(network, "fingerprint", source.preprocessing, "tiny")
    before = extract(split, False, lambda n: None)
    for path in (tmp_path / "features").glob("*/features.npy"):
        path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(extract(split, False, lambda n: None), before)


@pytest.mark.nightly
@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_is_built_trained_saved_exported_and_reopened(name, others, tmp_path, settled):
    """With random weights in a file, instead of ImageNet weights."""

    images = saccade.load(others, image_size=64).splits["train"].take(slice(0, 80, 4))
    settled(BACKBONES[name], 64, images).save_weights(tmp_path / "w.weights.h5")
    settings = {"image_size": 64, "batch_size": 32, "min_steps_per_epoch": 0, "trainable_fraction": 0.3}
    run = saccade.transfer(
        others, name, weights=tmp_path / "w.weights.h5", epochs=2, settings=settings, out=tmp_path / "run",
        progress=False,
    )  # fmt: skip
    assert [epoch.steps for epoch in run.history()] == [0, 2]
    assert saccade.evaluate(run).n == 40
    for form in ("keras", "savedmodel", "weights", "onnx", "litert"):
        assert saccade.export(run, format=form).num_images > 0, form
    again = saccade.predict(run.path / "run.onnx", others / "test")
    assert [one.top[0].class_name for one in again] == [
        one.top[0].class_name for one in saccade.predict(run, others / "test")
    ]


def test_layer_names_do_not_depend_on_the_networks_built_before(slim_convnext):
    first, second = (BACKBONES["ConvNeXtTiny"].build(32, 32, 2) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
