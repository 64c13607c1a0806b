"""Features of photographs by EfficientNet-Lite0: equal to Keras, and to the bit whatever runs beside them."""

import keras
import numpy as np
import pytest

import saccade
from saccade.data.cache.disk_cache import cache_entries, clear_cache
from saccade.data.dataset import Preprocessing
from saccade.models.build import build_network
from saccade.models.head import body_weights, head_of, without_head
from saccade.models.pretrained.imagenet import imagenet_weights
from saccade.models.weights import assign, named_weights
from saccade.recipes import get_recipe
from saccade.training.transfer_learning import features as module
from saccade.training.transfer_learning.features import FeatureExtractor

N = 11  # not a multiple of the batch size


@pytest.fixture(scope="module")
def network():
    built = build_network(get_recipe("photo"), height=224, width=224, classes=2)
    assign(built, {**named_weights(built), **body_weights(built, imagenet_weights())})
    return built


@pytest.fixture(scope="module")
def split(photographs):
    return saccade.load(photographs).splits["train"].subset(np.arange(N))


@pytest.fixture(scope="module")
def body(network):
    return without_head(network)


@pytest.fixture
def extract(body, tmp_path, monkeypatch):
    """Function that computes the features of a split with an empty cache."""
    calls = []

    def compute(split, mirrored=False):
        calls.append(split)
        monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / f"{len(calls)}"))
        extractor = FeatureExtractor(body, "fingerprint", Preprocessing(224, 224), "photographs")
        return extractor(split, mirrored, lambda _: None)

    return compute


@pytest.fixture(scope="module")
def alone(body, split, tmp_path_factory):
    """Features of the split, by one worker thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SACCADE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(module, "usable_cores", lambda: 1)
        extractor = FeatureExtractor(body, "fingerprint", Preprocessing(224, 224), "photographs")
        return extractor(split, False, lambda _: None)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_features_equal_those_of_stock_keras(network, split, extract, mirrored):
    stock = keras.Model(network.input, head_of(network).input)
    pixels = split.take(slice(None)).astype(np.float32)
    expected = stock.predict_on_batch(pixels[:, :, ::-1] if mirrored else pixels)
    found = extract(split, mirrored)
    assert found.shape == (N, 1280)
    error = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 1e-4


@pytest.mark.parametrize("workers", [2, 5])
def test_the_bits_do_not_depend_on_the_number_of_worker_threads(split, extract, alone, monkeypatch, workers):
    monkeypatch.setattr(module, "usable_cores", lambda: workers)
    np.testing.assert_array_equal(extract(split), alone)


def test_streamed_images_have_the_same_bits_also_where_the_cache_has_no_room(
    photographs, body, alone, tmp_path, monkeypatch
):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", "50KB")  # of 56 KB
    streamed = saccade.load(photographs).splits["train"].subset(np.arange(N))
    assert not isinstance(streamed.store, np.ndarray)
    extractor = FeatureExtractor(body, "fingerprint", Preprocessing(224, 224), "photographs")
    np.testing.assert_array_equal(extractor(streamed, False, lambda _: None), alone)
    assert extractor.num_unkept == N
    assert "features" not in {entry.kind for entry in cache_entries()}


def test_the_bits_do_not_depend_on_the_order_the_batch_and_the_cache_entry(split, extract, alone, monkeypatch):
    order = np.random.default_rng(0).permutation(N)
    monkeypatch.setattr(module, "_SHARD", 3)
    np.testing.assert_array_equal(extract(split.subset(order)), alone[order])
    np.testing.assert_array_equal(extract(split.subset(np.array([7]))), alone[[7]])


def test_an_interrupted_extraction_keeps_its_features_and_only_computes_the_others(
    body, split, alone, tmp_path, monkeypatch
):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path))
    extractor = FeatureExtractor(body, "fingerprint", Preprocessing(224, 224), "photographs")

    def stop(images):
        if images:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extractor(split, False, stop)
    done: list[int] = []
    np.testing.assert_array_equal(extractor(split, False, done.append), alone)
    assert done[0] == 4  # the finished batch was in the cache
    assert sum(done) == N


def test_the_features_are_listed_by_name_and_size_and_are_removed(split, extract):
    extract(split)
    (entry,) = [entry for entry in cache_entries() if entry.kind == "features"]
    assert entry.name == "photographs"
    assert N * 1280 * 4 <= entry.bytes < 2 * N * 1280 * 4
    assert [removed.path for removed in clear_cache("features")] == [entry.path]
    assert not entry.path.exists()
