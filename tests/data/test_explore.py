import json

import numpy as np
import pytest
from PIL import Image
from tests.data.images import class_folder, encode, photo, write

from saccade.data.explore import channel_statistics, choose_samples, explore, save_plots
from saccade.data.load import load


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Four images of each class in train and two in test, doubled ones, an unreadable one, several kinds."""
    root = tmp_path_factory.mktemp("data") / "animals"
    class_folder(root / "train", count=4)
    class_folder(root / "test", count=2, start=4)
    write(root / "train/cat/twin.png", (root / "train/cat/000.png").read_bytes())
    write(root / "test/dog/twin.png", (root / "train/dog/001.png").read_bytes())
    write(root / "train/dog/gray.jpg", encode(Image.fromarray(photo(50, 70)).convert("L"), "JPEG"))
    write(root / "train/dog/broken.jpg", b"")
    return root


@pytest.fixture(scope="module")
def exploration(root):
    return explore(root)


def test_the_counts(exploration):
    assert exploration.counts == {"train": {"cat": 5, "dog": 5}, "test": {"cat": 2, "dog": 3}}
    assert exploration.modes == {"RGB": 14, "L": 1}
    assert exploration.formats == {"PNG": 14, "JPEG": 1}
    assert [(image.path, image.reason) for image in exploration.unreadable] == [("train/dog/broken.jpg", "empty file")]


def test_the_sizes(exploration):
    sizes = exploration.sizes
    assert (sizes.smallest, sizes.median, sizes.largest) == ((32, 32), (32.0, 32.0), (50, 70))
    assert sizes.different == 2
    assert sizes.most_common == ((32, 32, 14), (50, 70, 1))
    assert exploration.image_size == (32, 32)


def test_duplicates_within_and_across_splits(exploration):
    assert exploration.duplicates_within == {"train": 1, "test": 0}
    assert exploration.duplicates_across == 1
    assert set(exploration.duplicates) == {
        ("train: train/cat/000.png", "train: train/cat/twin.png"),
        ("train: train/dog/001.png", "test: test/dog/twin.png"),
    }


def test_mean_and_standard_deviation_of_the_training_split(root, exploration):
    train = load(root).splits["train"]
    pixels = train.take(slice(None)).reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(exploration.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(exploration.standard_deviation, pixels.std(axis=0), rtol=1e-12)
    assert channel_statistics(train) == (exploration.mean, exploration.standard_deviation)


def test_a_dataset_can_be_explored_and_everything_is_json(root, exploration):
    assert explore(load(root)) == exploration
    found = json.loads(json.dumps(exploration.to_dict()))
    assert found["counts"]["train"]["cat"] == 5
    assert found["unreadable"] == [{"path": "train/dog/broken.jpg", "split": "train", "reason": "empty file"}]
    assert found["fingerprint"] == exploration.fingerprint


def test_samples_are_spread_over_the_classes_and_always_the_same(tmp_path):
    class_folder(tmp_path / "data", classes=("a", "b", "c"), count=30)
    train = load(tmp_path / "data").splits["train"]
    chosen = choose_samples(train)
    assert sorted(np.bincount(train.labels[chosen]).tolist()) == [8, 8, 9]
    assert len(set(chosen.tolist())) == 25
    np.testing.assert_array_equal(chosen, choose_samples(train))


def test_the_plots_are_pngs_of_a_readable_size(root, exploration, tmp_path):
    samples, classes = save_plots(load(root), exploration, tmp_path)
    assert (samples.name, classes.name) == ("samples.png", "classes.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.png", "samples.png"]
    for path in (samples, classes):
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) >= 200
            assert len(np.unique(np.asarray(image.convert("L")))) > 10


def test_class_names_in_other_scripts_and_with_dollars_can_be_drawn(tmp_path):
    class_folder(tmp_path / "data", classes=("$cat_", "狗", "a" * 200), count=3)
    dataset = load(tmp_path / "data")
    for path in save_plots(dataset, explore(dataset), tmp_path):
        assert path.is_file()
