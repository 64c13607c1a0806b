"""Search of similar images, against scikit-learn's cosine similarity and a search in float64, all images at once."""

import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics.pairwise import cosine_similarity
from tests.snippets import run_here

import saccade
from saccade.data.dataset import Dataset, Preprocessing, Split
from saccade.errors import DataError
from saccade.labeling.embedded_data import EmbeddedData
from saccade.labeling.similar import nearest_images
from saccade.training.transfer_learning import features as features_module
from saccade.training.transfer_learning.features import FeatureExtractor


@pytest.fixture(scope="module")
def embeddings(photographs):
    return saccade.embed(photographs)


def expected(embeddings, positions):
    """Return the paths of the other images, the most similar first, and the similarity of each."""
    units = embeddings.features / np.linalg.norm(embeddings.features, axis=1, keepdims=True)
    query = units[positions].mean(axis=0, keepdims=True)
    found = cosine_similarity(query, embeddings.features)[0]
    others = [position for position in np.argsort(-found) if position not in positions]
    return [embeddings.paths[position] for position in others], {
        path: float(value) for path, value in zip(embeddings.paths, found, strict=True)
    }


def check(found, embeddings, positions):
    paths, similarity = expected(embeddings, positions)
    assert [image.path for image in found.images] == paths[: len(found.images)]
    for image in found.images:
        assert image.similarity == pytest.approx(similarity[image.path], abs=1e-5)
        assert image.path.startswith(f"{image.label}/")


def test_an_image_of_the_data(photographs, embeddings):
    found = saccade.find_similar(photographs / embeddings.paths[7], photographs)
    assert len(found.images) == 20
    check(found, embeddings, [7])
    assert found.notes[-1] == "left out: 1 image of the query, or identical to one"
    assert sum(image.label == embeddings.labels[7] for image in found.images[:10]) > 5  # by chance 3


def test_small_entries_of_the_cache_give_the_same_result(photographs, tmp_path, monkeypatch, embeddings):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path))
    monkeypatch.setattr(features_module, "_SHARD", 8)
    check(saccade.find_similar(photographs / embeddings.paths[0], photographs, top=59), embeddings, [0])


def test_a_class_and_a_folder(photographs, embeddings):
    positions = [position for position, label in enumerate(embeddings.labels) if label == "hat"]
    for query in ("hat", photographs / "hat"):
        found = saccade.find_similar(query, photographs, top=40)
        assert found.num_query_images == 20
        check(found, embeddings, positions)


def test_an_image_in_memory_is_found_again(photographs, embeddings):
    path = photographs / embeddings.paths[3]
    for query in (Image.open(path), path.read_bytes(), np.asarray(Image.open(path).convert("RGB"))):
        found = saccade.find_similar(query, photographs, top=2)
        best = found.images[0].path
        # An unread file and its bytes are recognized as the image of the data; pixels are not.
        is_pixels = isinstance(query, np.ndarray)
        assert best == (embeddings.paths[3] if is_pixels else expected(embeddings, [3])[0][0])


def test_copies_of_the_query_are_left_out(photographs, embeddings, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(photographs, copied)
    shutil.copy(photographs / embeddings.paths[3], copied / "shoes" / "copy.jpg")
    found = saccade.find_similar(copied / embeddings.paths[3], copied, top=100)
    assert found.notes[-1] == "left out: 2 images of the query, or identical to one"
    assert len(found.images) == 59


def test_the_page_shows_the_images(photographs, embeddings, tmp_path):
    done = run_here(["similar", "hat", str(photographs), "--top", "5", "--out", "hat.html"], tmp_path)
    assert done.code == 0, done.stderr
    page = (tmp_path / "hat.html").read_text()
    paths = expected(embeddings, [position for position, label in enumerate(embeddings.labels) if label == "hat"])[0]
    for line, path in zip(done.stdout.splitlines(), paths, strict=False):
        assert line.endswith(f"  {path}  ({path.partition('/')[0]})")
        assert f'alt="{path}"' in page
    assert page.count("<img src=") == 5 + 12
    assert "And 8 more." in page
    assert "http" not in page.replace("http-equiv", "")
    again = run_here(["similar", "hat", str(photographs), "--out", "hat.html"], tmp_path)
    assert (again.code, (tmp_path / "hat.html").read_text()) == (1, page)


@pytest.mark.parametrize("query", ["nowhere.jpg", "scarf", "digits:test:0", 7, "empty"])
def test_no_query(photographs, tmp_path, monkeypatch, query):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is no query") as caught:
        saccade.find_similar(query, photographs)
    assert "or a class: hat, pants, shoes" in str(caught.value.expected)


def test_an_unreadable_query(photographs, tmp_path):
    (tmp_path / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    with pytest.raises(DataError):
        saccade.find_similar(tmp_path / "damaged.jpg", photographs)


MANY = 3000  # more than two entries of the cache hold
EQUAL = 40  # images that are stored again with other contents and the same pixels
REPEATED = 30  # files that are there twice


@pytest.fixture(scope="module")
def many():
    """Images of random pixels, sorted by name, with the features of a dense layer in several entries of the cache."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.arange(MANY), np.arange(EQUAL), np.arange(100, 100 + REPEATED)])
    hashes = [f"{number:064x}" for number in range(MANY + EQUAL)]
    hashes += hashes[100 : 100 + REPEATED]
    order = rng.permutation(len(rows))
    images = Split(
        store=rng.integers(0, 256, (MANY, 4, 4, 3), np.uint8),
        rows=rows[order],
        labels=rng.integers(0, 60, len(rows)),
        names=[f"{number:05}.jpg" for number in range(len(rows))],
        hashes=[hashes[row] for row in order],
        sizes=np.full((len(rows), 2), 4, np.int32),
        modes=["RGB"] * len(rows),
        formats=["JPEG"] * len(rows),
        duplicate_groups=np.arange(len(rows)),
    )
    return images, dense_extractor()


def dense_extractor():
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 3))
    network = keras.Model(inputs, keras.layers.Dense(64, activation="relu")(keras.layers.Flatten()(inputs)))
    return FeatureExtractor(network, "dense", Preprocessing(4, 4), "random")


def in_float64(query, features, paths, left_out):
    """Return positions and similarities of all images that are not left out, by a search in float64; ties by path."""
    units = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    direction = units[query].mean(axis=0)
    found = units @ (direction / np.linalg.norm(direction))
    ranked = sorted(np.flatnonzero(~left_out), key=lambda position: (-found[position].round(12), paths[position]))
    return ranked, found[ranked]


@pytest.mark.parametrize("query", ["image", "image that is there twice", "image with equal pixels", "folder", "class"])
@pytest.mark.parametrize("few", [False, True])
def test_the_result_is_that_of_a_search_in_float64(many, query, few):
    images, extract = many
    extract(images, False, lambda _: None)
    if few:  # of these, the entries of the cache hold few
        images = images.subset(np.flatnonzero((images.rows < 9) | ((images.rows >= 100) & (images.rows < 111))))
    features = extract(images, False, lambda _: None)
    asked = images.subset(
        {
            "image": np.flatnonzero(images.rows == images.rows[-1]),
            "image that is there twice": np.flatnonzero(images.rows == 105),
            "image with equal pixels": np.flatnonzero(images.rows == 5)[:1],
            "folder": np.arange(0, len(images), 4)[:12],
            "class": np.flatnonzero(images.labels == images.labels[0]),
        }[query]
    )
    left_out = np.isin(images.hashes, asked.hashes)
    ranked, similarity = in_float64(
        [images.hashes.index(content) for content in asked.hashes], features, images.names, left_out
    )
    dataset = Dataset("random", "random", ("random",), {"train": images}, Preprocessing(4, 4), "")
    nothing = [""] * len(images)
    data = EmbeddedData(dataset, images, nothing, nothing, "dense", dense_extractor())
    for top in (1, 50, len(images)):
        found = nearest_images(asked, data, top)
        assert found.positions.tolist() == ranked[:top]
        np.testing.assert_allclose(found.similarities, similarity[:top], rtol=0, atol=1e-12)
        assert found.num_known == left_out.sum()
