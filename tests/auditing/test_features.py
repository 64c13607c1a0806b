"""Near-duplicates and outliers of photographs by features, beside those that hashes find."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image
from tests.snippets import run_here

from saccade.auditing.audit import audit
from saccade.auditing.feature_duplicates import whitened
from saccade.auditing.feature_outliers import neighbor_distances, outlier_limit
from saccade.auditing.neighbors import nearest_neighbors


def cropped(path, copy):
    image = Image.open(path)
    width, height = image.size
    image.crop((0, 0, int(width * 0.8), int(height * 0.8))).save(copy, quality=90)


@pytest.fixture(scope="module")
def altered(photographs, tmp_path_factory):
    """The photographs with two crops, one with another label, a smaller copy that hashes find, and a foreign image."""
    folder = tmp_path_factory.mktemp("data") / "altered"
    shutil.copytree(photographs, folder)
    hats, shoes = (sorted((folder / name).iterdir()) for name in ("hat", "shoes"))
    cropped(hats[0], folder / "hat/crop.jpg")
    cropped(shoes[1], folder / "pants/crop.jpg")
    image = Image.open(hats[2])
    image.resize((image.width // 2, image.height // 2)).save(folder / "hat/small.jpg", quality=90)
    Image.fromarray(load_sample_image("china.jpg")).save(folder / "shoes/palace.jpg")
    names = {"hat": hats[0].name, "shoes": shoes[1].name, "small": hats[2].name}
    return folder, names


@pytest.fixture(scope="module")
def found(altered, tmp_path_factory):
    return audit(altered[0], out=tmp_path_factory.mktemp("audits") / "altered")


def groups(found, kind):
    return [{image.path for image in group} for finding in found.of_kind(kind) for group in finding.groups]


def test_crops_are_possible_near_duplicates_and_reported_once(altered, found):
    names = altered[1]
    (finding,) = found.of_kind("possible-near-duplicates")
    assert {"hat/crop.jpg", f"hat/{names['hat']}"} in groups(found, finding.kind)
    assert {"pants/crop.jpg", f"shoes/{names['shoes']}"} in groups(found, finding.kind)
    assert finding.severity == "note"
    assert "candidates" in finding.summary
    assert "with different labels" in finding.summary
    assert not any(image.suggestion for image in finding.images)
    assert all(0.75 <= image.score <= 1 for image in finding.images)
    by_hash = [one for kind in ("near-duplicates", "near-leak", "leak", "duplicates") for one in groups(found, kind)]
    assert any("hat/small.jpg" in group for group in by_hash)
    for group in groups(found, finding.kind):
        assert not any(len(group & other) > 1 for other in by_hash)


def test_an_image_of_another_kind_is_the_first_outlier(found):
    (finding,) = found.of_kind("outliers")
    assert finding.images[0].path == "shoes/palace.jpg"
    assert len(finding.images) <= 4
    assert "features" in finding.summary


def test_page_and_json_show_both(found):
    numbers, page = (path.read_text() for path in found.files)
    kinds = {finding["kind"]: finding for finding in json.loads(numbers)["findings"]}
    assert kinds["possible-near-duplicates"]["groups"][0][0]["score"] is not None
    for kind in ("possible-near-duplicates", "outliers"):
        assert f"<h2>{kind}</h2>" in page
    assert 'alt="pants/crop.jpg, labeled pants"' in page


def test_without_features_neither_is_found(altered, tmp_path):
    done = run_here(["audit", str(altered[0]), "--folds", "0"], tmp_path)
    assert done.code == 0, done.stderr
    assert "possible-near-duplicates" not in done.stdout
    assert "does not find label errors, outliers and near-duplicates by features" in done.stdout + done.stderr


def test_neighbors_are_those_of_all_similarities_in_several_blocks():
    rng = np.random.default_rng(0)
    units = rng.normal(size=(2500, 8)).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    positions, similarities = nearest_neighbors(units, 7)
    every = units.astype(np.float64) @ units.T
    np.fill_diagonal(every, -np.inf)
    expected = -np.sort(-every, axis=1)[:, :7]
    np.testing.assert_allclose(similarities, expected, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(every, positions, axis=1), expected, atol=1e-6)


@pytest.mark.parametrize("n", [2, 5, 300])
def test_whitened_features_are_unit_vectors(n):
    features = np.abs(np.random.default_rng(0).normal(size=(n, 40))).astype(np.float32)
    features[:, 3] = 0
    units = whitened(features)
    assert units.shape == (n, max(1, min(40, (n - 1) // 4)))
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_far_features_exceed_the_limit(count):
    """A cloud of 400 unit vectors around one direction, and others far from it and from each other."""
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(400, 64)) * 0.5
    cloud[:, 0] += 4
    far = rng.normal(size=(count, 64)) * 4
    distances = neighbor_distances(np.concatenate([cloud, far]).astype(np.float32))
    outliers = distances > outlier_limit(distances)
    assert outliers[400:].all()
    assert outliers[:400].mean() < 0.02
