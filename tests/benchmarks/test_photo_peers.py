"""Comparison with peers: paired differences, the kept records, and trials with a drawn test split."""

import argparse
import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.data.images import class_folder

from saccade.errors import SaccadeError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def peer_records(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("peer_records")


@pytest.fixture
def photo_peers(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("photo_peers")


def record_of(peer_records, correct, groups=None):
    """Return a record of two classes, "a" and "b", whose predictions are correct as given; image i is of class a."""
    names = tuple(f"a/{number}.jpg" for number in range(len(correct)))
    probabilities = tuple((0.9, 0.1) if one else (0.2, 0.8) for one in correct)
    groups = tuple(range(len(correct))) if groups is None else tuple(groups)
    return peer_records.Record(12.5, ("a", "b"), names, groups, probabilities, "a processor", {"steps": 3}, {"x": "1"})


def test_the_interval_of_one_trial_is_that_of_paired_differences(peer_records):
    random = np.random.default_rng(0)
    first, second = random.random(200) < 0.7, random.random(200) < 0.8
    found = peer_records.paired_difference(
        [record_of(peer_records, first)], [record_of(peer_records, second)]
    )  # fmt: skip
    differences = second.astype(float) - first
    half = 1.959964 * differences.std(ddof=1) / np.sqrt(200)
    assert found.difference == pytest.approx(second.mean() - first.mean())
    assert (found.low, found.high) == pytest.approx((differences.mean() - half, differences.mean() + half))


def test_the_same_images_with_several_seeds_and_duplicates_are_one_observation_each(peer_records):
    random = np.random.default_rng(1)
    first, second = random.random((2, 150)) < 0.7, random.random((2, 150)) < 0.8
    seeds = peer_records.paired_difference(
        [record_of(peer_records, one) for one in first], [record_of(peer_records, one) for one in second]
    )
    means = second.mean(axis=0) - first.mean(axis=0)
    half = 1.959964 * means.std(ddof=1) / np.sqrt(150)
    assert (seeds.difference, seeds.high) == pytest.approx((means.mean(), means.mean() + half))
    twice = peer_records.paired_difference(
        *[[record_of(peer_records, np.tile(side[0], 2), [*range(150)] * 2)] for side in (first, second)]
    )
    once = peer_records.paired_difference(*[[record_of(peer_records, side[0])] for side in (first, second)])
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


def test_predictions_are_paired_by_the_names_of_the_images(peer_records):
    record = record_of(peer_records, [True, False, True, False])
    order = [3, 1, 0, 2]
    fields = ("names", "groups", "probabilities")
    shuffled = replace(record, **{name: tuple(getattr(record, name)[i] for i in order) for name in fields})
    assert peer_records.paired_difference([record], [shuffled]) == peer_records.PairedDifference(0, 0, 0)
    with pytest.raises(SaccadeError, match="different test images"):
        peer_records.paired_difference([record], [record_of(peer_records, [True, False, True])])


def test_a_record_is_read_as_it_was_written(peer_records, tmp_path):
    record = record_of(peer_records, [True, False])
    path = peer_records.Task("coins", 1.0, "timm", 0).path(tmp_path)
    assert peer_records.Record.read(path) is None
    record.write(path)
    assert peer_records.Record.read(path) == record
    assert record.correct.tolist() == [True, False]
    assert record.log_loss == pytest.approx(-(np.log(0.9) + np.log(0.2)) / 2)


class Trainer:
    """In place of a training: predicts nearly all images correctly, and is killed at a given training."""

    def __init__(self, photo_peers, killed_at=None):
        self.photo_peers, self.killed_at, self.trained = photo_peers, killed_at, []

    def __call__(self, task, data, folder, options):
        if len(self.trained) == self.killed_at:
            raise KeyboardInterrupt
        self.trained.append((task.method, task.number))
        first, *others = data.test_groups
        classes = [name.partition("/")[0] == data.class_names[1] for name in others]
        probabilities = {name: [1.0 - label, float(label)] for name, label in zip(others, classes, strict=True)}
        return self.photo_peers._record(data, 30.0, {first: [0.5, 0.5], **probabilities}, {})


@pytest.mark.long
def test_a_killed_benchmark_goes_on_with_the_missing_trainings(photo_peers, photo_folder, tmp_path, monkeypatch):
    (tmp_path / "coins").symlink_to(photo_folder)
    options = argparse.Namespace(
        data=tmp_path, work=tmp_path, results=tmp_path / "results.csv", method=photo_peers.METHODS, seeds=None
    )

    def run_with(trainer):
        monkeypatch.setattr(photo_peers, "_train_saccade", trainer)
        monkeypatch.setattr(photo_peers, "_train_peer", trainer)
        photo_peers.run_cell(("coins", 1.0), options)

    killed, second, third = Trainer(photo_peers, killed_at=4), Trainer(photo_peers), Trainer(photo_peers)
    with pytest.raises(KeyboardInterrupt):
        run_with(killed)
    assert "incomplete" in photo_peers.table(tmp_path, [("coins", 1.0)])
    assert not options.results.exists()
    run_with(second)
    every = [(method, number) for number in (0, 1) for method in photo_peers.METHODS]
    assert killed.trained + second.trained == every
    rows = options.results.read_text().splitlines()
    assert len(rows) == 1 + 3 * len(photo_peers.METHODS) + len(photo_peers.PEERS)
    run_with(third)
    assert not third.trained
    assert options.results.read_text().splitlines() == rows


@pytest.mark.parametrize(
    ("incorrect", "gate"), [(0, "passed"), (2, "passed"), (4, "failed"), (60, "failed")]
)  # fmt: skip
def test_the_gate_is_half_a_point_below_the_best_peer(photo_peers, peer_records, tmp_path, incorrect, gate):
    for method in photo_peers.METHODS:
        for number in range(2):
            correct = np.ones(400, bool)
            correct[: incorrect if method == "saccade" else 50 * (method != "linear")] = False
            task = peer_records.Task("coins", 1.0, method, number)
            record_of(peer_records, correct).write(task.path(tmp_path))
    table = photo_peers.table(tmp_path, [("coins", 1.0)])
    assert table.splitlines()[-1].endswith(f"| {gate} |")
    assert "| linear |" in table


def test_predictions_must_be_of_all_test_images(photo_peers, photo_folder, tmp_path):
    data = importlib.import_module("photo_trials").prepare_trial(photo_folder, 0, tmp_path)
    with pytest.raises(SaccadeError, match="one prediction for each test image"):
        photo_peers._record(data, 1.0, {"palace/3.jpg": [0.5, 0.5]}, {})


def test_a_drawn_test_split_keeps_duplicates_on_one_side(photo_peers, tmp_path):
    class_folder(tmp_path / "animals", count=10)
    (tmp_path / "animals" / "cat" / "copy.png").write_bytes((tmp_path / "animals" / "cat" / "000.png").read_bytes())
    prepare_trial = importlib.import_module("photo_trials").prepare_trial
    splits = []
    for number in range(6):
        data = prepare_trial(tmp_path / "animals", number, tmp_path / str(number))
        files = {
            split: {path.relative_to(data.folder / split).as_posix() for path in (data.folder / split).glob("*/*")}
            for split in ("train", "test")
        }
        assert files["test"] == set(data.test_groups)
        assert not files["test"] & files["train"]
        assert len(files["test"] | files["train"]) == 21
        assert ("cat/000.png" in files["test"]) == ("cat/copy.png" in files["test"])
        splits.append(frozenset(files["test"]))
    assert len(set(splits)) == 6
    assert any("cat/copy.png" in split for split in splits)
