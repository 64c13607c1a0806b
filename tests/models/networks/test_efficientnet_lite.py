"""EfficientNet-Lite0 with the ImageNet weights of the package, and with random weights and statistics."""

import os
import subprocess
import tarfile
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
import sklearn.datasets
from keras import layers
from tests.conftest import REPOSITORY
from tests.tools.source_file import source_contents
from tools.convert_efficientnet_lite0 import read_state, to_keras

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode_files import decode_files
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.build import with_softmax
from saccade.models.networks import efficientnet_lite
from saccade.models.onnx.to_onnx import to_onnx
from saccade.models.pretrained.imagenet import imagenet_weights
from saccade.models.training_model import make_training_model
from saccade.models.weights import assign

PHOTOGRAPHS = [Path(sklearn.datasets.__file__).parent / "images" / name for name in ("china.jpg", "flower.jpg")]
PALACE, DAISY = 698, 985  # classes of ImageNet
BACKENDS = REPOSITORY / ".venv-backends" / "bin" / "python"


def decoded(files, size):
    """Return images as Saccade decodes them, uint8 [n, size, size, 3]."""
    return np.concatenate([chunk.pixels for chunk in decode_files(files, Preprocessing(size, size))])


@pytest.fixture(scope="module")
def network():
    """The network for 224x224 pixels and the 1,000 classes of ImageNet, with the weights of the package."""
    network = efficientnet_lite.build(224, 224, 1000)
    assign(network, imagenet_weights())
    return network


@pytest.fixture(scope="module")
def photographs():
    """The two sample photographs of scikit-learn, uint8 [2, 224, 224, 3]."""
    return decoded(PHOTOGRAPHS, 224)


def test_the_network_has_the_published_number_of_weights_and_stock_layers(network):
    assert network.count_params() == 4_694_024
    assert all(type(layer).__module__.startswith("keras.src.layers.") for layer in network.layers)


def test_two_photographs_are_recognized(network, photographs):
    assert network.predict_on_batch(photographs).argmax(axis=1).tolist() == [PALACE, DAISY]


def outputs_of_all_forms(network, images):
    """Return the outputs of the folded network, of its ONNX graph and of the training model in float32."""
    pixels, folded = images.astype(np.float32), fold_normalization(network)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in folded.layers)
    session = onnxruntime.InferenceSession(to_onnx(folded, {}), providers=["CPUExecutionProvider"])
    return [
        folded.predict_on_batch(pixels),
        session.run(None, {"pixels": pixels})[0],
        make_training_model(network, "float32").predict_on_batch(pixels),
    ]


def test_folded_onnx_and_training_models_give_equal_probabilities(network, photographs):
    model = with_softmax(network)
    expected = model.predict_on_batch(photographs)
    for probabilities in outputs_of_all_forms(model, photographs):
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_random_normalization_is_folded_beside_relu6():
    """Both bounds of ReLU6 matter: folding must not move a scale across it, in contrast to ReLU."""
    draw = np.random.default_rng(0)
    network = efficientnet_lite.build(64, 48, 5)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            channels = layer.moving_mean.shape
            layer.gamma.assign(draw.choice([-1, 1], channels) * draw.uniform(1, 4, channels))
            layer.beta.assign(draw.normal(2, 2, channels))
            layer.moving_mean.assign(draw.normal(0, 0.3, channels))
            layer.moving_variance.assign(draw.uniform(0.5, 2, channels))
    images = draw.integers(0, 256, (4, 64, 48, 3))
    rectified = [layer.output for layer in network.layers if isinstance(layer, layers.ReLU)]
    for values in keras.Model(network.input, rectified).predict_on_batch(images):
        assert (values == 0).any()
        assert (values == 6).any()
    expected = network.predict_on_batch(images)
    for outputs in outputs_of_all_forms(network, images):
        np.testing.assert_allclose(outputs, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.nightly
def test_kernels_in_float16_keep_the_probabilities(network, photographs, clothing):
    images = np.concatenate([photographs, clothing])
    exact = efficientnet_lite.build(224, 224, 1000)
    assign(exact, to_keras(read_state(source_contents()), np.float32))
    expected, found = (with_softmax(model).predict(images, verbose=0) for model in (exact, network))
    print(f"float16: largest difference of a probability {np.abs(found - expected).max():.5f}, {len(images)} images")  # noqa: T201
    np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.nightly
def test_logits_equal_those_of_pytorch(photographs, clothing, tmp_path):
    """Compare with timm's `tf_efficientnet_lite0` with the weights of the source file, in an environment of its own."""
    if not BACKENDS.exists():
        pytest.skip("there is no environment with PyTorch and timm; `make .venv-backends/installed` makes it")
    images, state = np.concatenate([photographs, clothing]), read_state(source_contents())
    exact = efficientnet_lite.build(224, 224, 1000)
    assign(exact, to_keras(state, np.float32))
    np.savez(tmp_path / "state.npz", **state)  # type: ignore[arg-type]  # taken for `allow_pickle`
    np.save(tmp_path / "images.npy", images)
    program = Path(__file__).with_name("timm_logits.py")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "benchmarks" / "peers")}
    done = subprocess.run(
        [BACKENDS, program, tmp_path], env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected, found = np.load(tmp_path / "logits.npy"), exact.predict(images, verbose=0)
    print(f"PyTorch: largest difference of a logit {np.abs(found - expected).max():.6f}, {len(images)} images")  # noqa: T201
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.fixture(scope="module")
def clothing(shared_data, tmp_path_factory):
    """Test photographs of clothing, every sixth, uint8 [62, 224, 224, 3]."""
    folder = tmp_path_factory.mktemp("clothing")
    with tarfile.open(shared_data / "clothing.tar") as archive:
        test = [member for member in archive.getmembers() if "/test/" in member.name and member.isfile()]
        archive.extractall(folder, members=test[::6], filter="data")
    return decoded(sorted(path for path in folder.rglob("*") if path.is_file()), 224)
