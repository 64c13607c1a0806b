"""Features of whole data sets, with and without labels, in files that other programs read."""

import json
import shutil

import numpy as np
import pyarrow.parquet
import pytest
from tests.snippets import run_here

import saccade
from saccade.data.cache.disk_cache import clear_cache
from saccade.errors import DataError
from saccade.training.transfer_learning import features as features_module


@pytest.fixture
def heap(photographs, tmp_path):
    """The photographs without labels, in one folder, beside a text file and a damaged image."""
    folder = tmp_path / "heap"
    folder.mkdir()
    for number, path in enumerate(sorted(photographs.rglob("*.jpg"))):
        shutil.copy(path, folder / f"{number:02}.jpg")
    (folder / "notes.txt").write_text("no image")
    (folder / "damaged.jpg").write_bytes((folder / "00.jpg").read_bytes()[:500])
    return folder


def read(path):
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def test_labeled_data_has_labels_and_the_features_of_a_linear_probe(photographs, tmp_path):
    from saccade.data.load import load

    found = saccade.embed(photographs, out=tmp_path / "features.npz")
    arrays = read(tmp_path / "features.npz")
    dataset = load(photographs)
    label_of = {
        name: dataset.class_names[label]
        for split in dataset.splits.values()
        for name, label in zip(split.names, split.labels, strict=True)
    }
    assert arrays["paths"].tolist() == sorted(label_of)
    assert arrays["labels"].tolist() == [label_of[path] for path in sorted(label_of)]
    assert set(arrays["splits"].tolist()) == {""}  # Saccade, and not the data, would make a test split
    assert arrays["embeddings"].shape == (60, 1280)
    np.testing.assert_array_equal(arrays["embeddings"], found.features)
    assert len({*arrays["hashes"].tolist()}) == 60
    # A linear classifier of another program on the features, each image left out in turn by fives.
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    scores = cross_val_score(LogisticRegression(max_iter=1000), arrays["embeddings"], arrays["labels"], cv=5)
    assert scores.mean() > 0.7  # three classes; by chance a third


def test_images_without_labels(heap, tmp_path):
    done = run_here(["embed", str(heap), "--out", "heap.npz", "--json"], tmp_path)
    assert done.code == 0, done.stderr
    assert (done.json["num_images"], done.json["num_features"], done.json["num_labels"]) == (60, 1280, 0)
    assert done.json["unreadable"] == [{"path": "damaged.jpg", "reason": "truncated JPEG"}]
    arrays = read(tmp_path / "heap.npz")
    assert arrays["paths"].tolist() == [f"{number:02}.jpg" for number in range(60)]
    assert set(arrays["labels"].tolist()) == {""}
    assert arrays["unreadable_paths"].tolist() == ["damaged.jpg"]


def test_the_features_of_an_image_do_not_depend_on_its_label_and_its_place(heap, photographs, tmp_path):
    labeled, unlabeled = saccade.embed(photographs), saccade.embed(heap)
    by_hash = dict(zip(labeled.hashes, labeled.features, strict=True))
    for content, features in zip(unlabeled.hashes, unlabeled.features, strict=True):
        np.testing.assert_array_equal(features, by_hash[content])


def test_a_parquet_file_has_a_row_for_each_image(heap, tmp_path):
    found = saccade.embed(heap, out=tmp_path / "heap.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "heap.parquet").to_pydict()
    assert table["path"] == [*found.paths, "damaged.jpg"]
    assert table["hash"] == [*found.hashes, None]
    assert table["label"] == table["split"] == [None] * 61
    assert table["unreadable_reason"] == [None] * 60 + ["truncated JPEG"]
    np.testing.assert_array_equal(np.array(table["embedding"][:60], np.float32), found.features)
    assert table["embedding"][60] is None
    notes = pyarrow.parquet.read_schema(tmp_path / "heap.parquet").metadata
    assert json.loads(notes[b"saccade"])["network"] == "EfficientNetLite0"


def test_splits_of_the_data_are_kept(photo_folder):
    found = saccade.embed(photo_folder)
    assert [path.partition("/")[0] for path in found.paths] == list(found.splits)
    assert {*found.splits} == {"train", "test"}


@pytest.mark.parametrize("kind", ["probe_run", pytest.param("photo_run", marks=pytest.mark.long)])
def test_the_network_of_a_run(photo_folder, kind, request):
    run = request.getfixturevalue(kind)
    found = saccade.embed(photo_folder, network=run)
    assert (found.network, found.size) == (run.name, (160, 160))
    from saccade.inference.predictor import Predictor
    from saccade.models.head import head_of

    # The head on the features gives the probabilities of the run, at its temperature of training.
    head = head_of(Predictor.from_run(run).model)
    logits = found.features @ np.asarray(head.kernel) + np.asarray(head.bias)
    predictions = saccade.predict(run, [photo_folder / path for path in found.paths], top=2)
    best = [run.class_names[column] for column in logits.argmax(axis=1)]
    assert [one.top[0].class_name for one in predictions] == best


def test_the_network_with_imagenet_weights_is_built_once_in_a_process(heap, monkeypatch):
    first = saccade.embed(heap)
    monkeypatch.setattr("saccade.training.pretrained_features.build_network", None)
    np.testing.assert_array_equal(saccade.embed(heap).features, first.features)


def test_small_images_are_enlarged(tiny_folder):
    assert saccade.embed(tiny_folder).size == (96, 96)


def test_an_interrupted_command_computes_only_the_missing_features(heap, tmp_path, monkeypatch):
    clear_cache()
    monkeypatch.setattr(features_module, "_SHARD", 8)
    computed: list[int] = []
    original = features_module.in_parallel

    def counted(run, pixels, advance, *, stop_after):
        for outputs in original(run, pixels, advance):
            if len(computed) == stop_after:
                raise KeyboardInterrupt
            computed.append(len(outputs))
            yield outputs

    monkeypatch.setattr(features_module, "in_parallel", lambda *given: counted(*given, stop_after=6))
    with pytest.raises(KeyboardInterrupt):
        saccade.embed(heap)
    assert sum(computed) == 24
    monkeypatch.setattr(features_module, "in_parallel", lambda *given: counted(*given, stop_after=1000))
    found = saccade.embed(heap, out=tmp_path / "heap.npz")
    assert sum(computed) == len(found) == 60


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["heap", "--out", "features.csv"], "'features.csv' can't be written"),
        (["heap", "--out", "nowhere/features.npz"], "there is no folder 'nowhere'"),
        (["heap", "--out", "taken.npz"], "'taken.npz' exists already; nothing is overwritten"),
        (["empty", "--out", "features.npz"], "there is no image in "),
        (["heap", "--out", "features.npz", "--run", "nowhere"], "'nowhere' is not a run"),
        (["heap", "--out", "features.npz", "--from", "nowhere"], "there is no source 'nowhere'"),
    ],
)
def test_errors(heap, tmp_path, words, problem):
    (tmp_path / "taken.npz").write_text("")
    (tmp_path / "empty").mkdir()
    done = run_here(["embed", *words], tmp_path)
    assert done.code == 1
    assert problem in done.stderr
    assert not (tmp_path / "features.npz").exists()
    assert (tmp_path / "taken.npz").read_text() == ""


def test_a_file_that_is_no_folder(tmp_path):
    (tmp_path / "x.doc").write_text("no data")
    with pytest.raises(DataError):
        saccade.embed(tmp_path / "x.doc")
