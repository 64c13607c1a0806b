"""Backbones compared with the networks of keras.applications, with weights and statistics as after a training."""

import functools

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from saccade.errors import TrainingError
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.networks.backbones import BACKBONES
from saccade.models.onnx.to_onnx import to_onnx
from saccade.models.training_model import make_training_model
from saccade.models.weights import named_weights

SIZE = 64
IMAGES = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3)).astype(np.float32)
# One backbone of each type; the others differ in depth and width. Nightly tests train and export all of them.
# tests/commands trains MobileNetV3Small from a file of weights in each test run.
KINDS = [
    "ConvNeXtTiny",
    *(pytest.param(name, marks=pytest.mark.nightly) for name in ("MobileNetV3Small", "EfficientNetV2B0", "ResNet50V2")),
]


@pytest.fixture(scope="module", autouse=True)
def slim(slim_convnext):
    """Use a slim ConvNeXtTiny, because it has 28 million weights; nightly tests use the original."""


@pytest.fixture(scope="module")
def body_of(settled):
    """Return a function from a name to the Keras network without head, from preprocessed pixels."""
    return functools.cache(lambda name: settled(BACKBONES[name], SIZE))


@pytest.mark.parametrize("name", KINDS)
def test_features_equal_those_of_the_keras_network(body_of, name):
    body, network = body_of(name), BACKBONES[name]._around(body_of(name), 5)
    features = keras.Model(network.input, network.get_layer("classes").input)
    pixels = keras.applications.resnet_v2.preprocess_input(IMAGES.copy()) if name == "ResNet50V2" else IMAGES
    expected = body.predict_on_batch(pixels)
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(features.predict_on_batch(IMAGES), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", KINDS)
def test_folded_onnx_and_training_models_give_equal_outputs(body_of, name):
    import onnxruntime

    network = BACKBONES[name]._around(body_of(name), 5)
    expected = network.predict_on_batch(IMAGES)
    scale = np.abs(expected).max()
    folded = fold_normalization(network)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in folded.layers)
    session = onnxruntime.InferenceSession(to_onnx(folded, {}), providers=["CPUExecutionProvider"])
    for outputs in (
        folded.predict_on_batch(IMAGES),
        session.run(None, {"pixels": IMAGES})[0],
        make_training_model(network, "float32").predict_on_batch(IMAGES),
    ):
        np.testing.assert_allclose(outputs, expected, atol=3e-4 * scale)


@pytest.mark.parametrize("name", KINDS)
def test_every_backbone_has_stock_layers_that_keras_loads(name, tmp_path):
    network = BACKBONES[name].build(SIZE, SIZE, 5)
    assert all(type(layer).__module__.startswith("keras.src.layers.") for layer in network.layers)
    network.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict_on_batch(IMAGES), network.predict_on_batch(IMAGES))


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_weights_are_loaded_from_keras_files(tmp_path, suffix):
    backbone = BACKBONES["MobileNetV3Small"]
    body = backbone._from_keras(backbone.size, backbone.size, None)
    if suffix == ".h5":
        from keras.src.legacy.saving import legacy_h5_format

        with h5py.File(tmp_path / "w.h5", "w") as file:  # the format of the files that Keras downloads
            legacy_h5_format.save_weights_to_hdf5_group(file, body)
    else:
        body.save_weights(tmp_path / f"w{suffix}")
    loaded = named_weights(backbone.from_file(tmp_path / f"w{suffix}", 5))
    expected = named_weights(backbone._around(body, 5))
    assert loaded.keys() == expected.keys()
    for name in loaded.keys() - {"classes/kernel"}:
        np.testing.assert_array_equal(loaded[name], expected[name])


def test_files_without_weights_of_the_network_are_rejected(tmp_path):
    (tmp_path / "no.h5").write_bytes(b"nothing")
    other = BACKBONES["ConvNeXtTiny"]._from_keras(SIZE, SIZE, None)
    other.save_weights(tmp_path / "other.weights.h5")
    for name in ("no.h5", "other.weights.h5"):
        with pytest.raises(TrainingError, match="does not hold the weights of MobileNetV3Small"):
            BACKBONES["MobileNetV3Small"].from_file(tmp_path / name, 5)


def test_files_with_references_to_other_files_are_rejected(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = np.ones(3)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["conv"] = h5py.ExternalLink("secret.h5", "data")
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((3,), float)
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "data", (3,))
        file.create_virtual_dataset("conv", layout)
    for name, message in (("link.h5", "is a link"), ("virtual.h5", "lies in another file")):
        with pytest.raises(TrainingError) as caught:
            BACKBONES["MobileNetV3Small"].from_file(tmp_path / name, 5)
        assert message in str(caught.value.found)


def test_a_failed_download_names_the_file_and_its_place(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a closed port
    with pytest.raises(TrainingError, match="can't be downloaded") as caught:
        BACKBONES["MobileNetV3Small"].trained(5)
    assert "https://" in str(caught.value.found)
    assert "weights_mobilenet_v3_small" in str(caught.value.found)
    assert "--weights FILE" in str(caught.value.remedy)
