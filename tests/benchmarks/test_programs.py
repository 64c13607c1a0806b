"""Benchmark programs: measurements and error messages."""

import importlib
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import saccade
from saccade.models.build import build_network
from saccade.recipes import get_recipe

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_an_invalid_run_is_reported_without_a_traceback(tmp_path):
    done = run("time_to_accuracy", "--plot-only", tmp_path, "--plot", tmp_path / "curves.png")
    assert done.returncode == 1
    assert "is not a run" in done.stderr
    assert "Traceback" not in done.stderr


def test_accuracy_curves_are_plotted(tiny_run, tmp_path):
    done = run("time_to_accuracy", "--plot-only", tiny_run.path, "--plot", tmp_path / "curves.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.nightly
def test_every_epoch_of_the_tutorial_has_all_whole_batches(tmp_path):
    """With a partial batch, every other augmented epoch of Keras 3 would have one step, with a warning on stderr."""
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (70, 8, 8, 3), np.uint8), np.arange(70) % 2
    arrays = tmp_path / "arrays.npz"
    np.savez(arrays, x_train=images, y_train=labels, x_validation=images[:10], y_validation=labels[:10])
    done = run("tutorial_script", arrays, "--plain-epochs", 1, "--augmented-epochs", 2, "--no-autotune")
    assert done.returncode == 0, done.stderr
    epochs = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(epoch["phase"], epoch["epoch"]) for epoch in epochs] == [("plain", 1), ("augmented", 1), ("augmented", 2)]
    assert all(epoch["seconds"] > 0 and 0 <= epoch["validation_accuracy"] <= 1 for epoch in epochs)
    assert "ran out of data" not in done.stderr


def test_the_private_keras_method_for_switching_autotuning_off_exists(monkeypatch):
    """The script wraps a private method of Keras."""
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    monkeypatch.syspath_prepend(BENCHMARKS)
    for adapter in (ArrayDataAdapter, PyDatasetAdapter):
        monkeypatch.setattr(adapter, "get_tf_dataset", adapter.get_tf_dataset)  # restores it after the test
    importlib.import_module("tutorial_script").switch_autotuning_off()
    pipeline = ArrayDataAdapter(np.zeros((4, 2), np.float32), batch_size=2).get_tf_dataset()
    assert pipeline.options().autotune.enabled is False


def test_intervals_that_cover_too_rarely_or_are_too_wide_are_problems(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    estimate = importlib.import_module("estimate")
    rng = np.random.default_rng(0)
    doubt = rng.beta(0.3, 3, 400)
    source = estimate.Source(doubt, rng.random(400) < doubt, np.arange(400) % 2)
    for shift in estimate.CASES.values():
        measured = estimate.measure(source, shift, images=300, ask=60, estimates=2)
        assert {name: len(widths) for name, widths in measured.widths.items()} == dict.fromkeys(
            ("saccade", "uniform sample", "active inference"), 2
        )
        assert len(measured.classes) == 2
    covered = dict.fromkeys(measured.covered, [False] * 20)
    missed = estimate.Measured(covered, {"saccade": [0.12], "uniform sample": [0.1]}, [])
    assert estimate.problems(missed) == ["coverage 0.0%", "width 1.20"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_all_convolutions_and_dense_layers_of_a_network_are_listed(monkeypatch, dtype):
    monkeypatch.syspath_prepend(BENCHMARKS)
    convolutions = importlib.import_module("convolutions")
    network = build_network(get_recipe("two-phase"), height=32, width=32, classes=10)
    products = convolutions.products_of(network)
    assert [product.kernel_shape[-1] for product in products] == [32, 32, 64, 64, 128, 128, 1024, 10]
    assert [product.input_shape for product in products[-3:]] == [(8, 8, 128), (2048,), (1024,)]
    assert [product.needs_input_gradient for product in products] == [False, *[True] * 7]
    assert all(product.needs_kernel_gradient for product in products)
    for prepare in (convolutions.training_pass, convolutions.forward_pass):
        prepare(products, 2, dtype)()


@pytest.mark.nightly
def test_derived_data_sets_have_their_shapes_and_classes_and_keep_the_splits_apart(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(BENCHMARKS)
    made_data = importlib.import_module("made_data")
    source = tmp_path / "ten"
    for split, gray in (("train", 20), ("test", 160)):
        for name in ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]:
            (source / split / name).mkdir(parents=True)
            for index in range(60):
                image = np.full((32, 32, 3), gray + index, np.uint8)
                Image.fromarray(image).save(source / split / name / f"{index}.png")
    made = {name: saccade.load(path) for name, path in made_data.make_data(saccade.load(source), tmp_path).items()}
    found = {
        name: (data.preprocessing.height, data.preprocessing.width, len(data.class_names))
        for name, data in made.items()
    }
    assert found == {
        "placed": (64, 64, 10), "pairs": (32, 64, 25), "cats-and-dogs": (32, 32, 2),
    }  # fmt: skip
    assert np.bincount(made["cats-and-dogs"].splits["train"].labels).tolist() == [12, 60]
    for data in made.values():
        assert data.splits["train"].take(slice(None)).max() < 100
        assert data.splits["test"].take(slice(None)).min() > 100


def run(name, *arguments):
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_exponent_of_a_time_is_that_of_a_regression_of_logarithms(monkeypatch):
    from scipy.stats import linregress, t

    monkeypatch.syspath_prepend(BENCHMARKS)
    scaling = importlib.import_module("scaling")
    sizes = np.array([1000, 3000, 10_000, 30_000, 100_000])
    np.testing.assert_allclose(scaling.fit_exponent(sizes, 0.002 * sizes**1.05), [1.05] * 3)
    seconds = 0.002 * sizes**1.05 * np.exp(np.random.default_rng(0).normal(0, 0.1, 5))
    expected = linregress(np.log(sizes), np.log(seconds))
    half = t.ppf(0.975, 3) * expected.stderr
    found = scaling.fit_exponent(sizes, seconds)
    np.testing.assert_allclose(found, [expected.slope - half, expected.slope, expected.slope + half])


def test_pairs_of_significantly_different_runs_are_counted(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    compare_seeds = importlib.import_module("compare_seeds")
    random = np.random.default_rng(0)
    correct = random.random((1, 2000)) < 0.8
    first = np.repeat(correct, 3, axis=0)
    first[1, np.flatnonzero(correct[0])[:5]] = False
    second = first[:2].copy()
    second[:, np.flatnonzero(correct[0])[100:200]] = False
    within = compare_seeds.count(compare_seeds.results_of_pairs(itertools.combinations(first, 2)))
    between = compare_seeds.count(compare_seeds.results_of_pairs(itertools.product(first, second)))
    assert (within.pairs, within.different, within.found) == (3, 0, 0)
    assert (between.pairs, between.different, between.found) == (6, 6, 6)
    assert min(between.differences) > 0.04
    swapped = compare_seeds.count(compare_seeds.results_of_pairs(itertools.product(second, first)))
    assert (swapped.different, swapped.found) == (6, 0)


def test_the_difference_of_accuracies_has_the_wider_standard_error(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    difference = importlib.import_module("parallel_accuracy").difference
    random = np.random.default_rng(0)
    alone, shared = random.random((3, 500)) < 0.7, random.random((3, 500)) < 0.75
    gained = (shared.astype(float) - alone).mean(axis=0)
    of_images = gained.std(ddof=1) / np.sqrt(500)
    of_seeds = (shared.mean(axis=1) - alone.mean(axis=1)).std(ddof=1) / np.sqrt(3)
    assert difference(alone, shared, np.arange(500)) == pytest.approx((gained.mean(), max(of_images, of_seeds)))
    # Each image twice, as duplicates of each other: no more is known than by each of them once.
    twice = [np.tile(side, 2) for side in (alone, shared)]
    assert difference(*twice, np.tile(np.arange(500), 2))[1] == pytest.approx(max(of_images, of_seeds))


def test_a_changed_file_of_the_peer_is_rejected(monkeypatch):
    """Without each substitution the peer would do something else than what the results name."""
    monkeypatch.syspath_prepend(BENCHMARKS / "peers")
    airbench = importlib.import_module("airbench")
    changes = airbench.substitutions(compiled=False)
    text = "\n".join(change.old for change in changes for _ in range(change.times))
    adapted = airbench.adapted(text, changes)
    assert not any(change.old in adapted for change in changes)
    assert adapted.count("Event()") == 2
    assert "@torch.compile" in airbench.adapted(text, airbench.substitutions(compiled=True))
    for changed in (text.replace("mod.half()", "mod.bfloat16()"), text + "\nmod.half()"):
        with pytest.raises(ValueError, match=r"'mod\.half\(\)' was expected 1 time"):
            airbench.adapted(changed, changes)
