"""Search of similar images, against the cosine similarity of scikit-learn over all images at once."""

import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics.pairwise import cosine_similarity
from tests.snippets import run_here

import saccade
from saccade.errors import DataError
from saccade.training.transfer_learning import features as features_module


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
