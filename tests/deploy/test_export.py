"""Exports of every network family and format, opened without Saccade, and failed exports, which leave no files."""

import functools
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.deploy.litert_int8 import LiteRtInt8

import saccade
from saccade.deploy.formats import FORMATS
from saccade.deploy.verify import Reference, agreement, make_reference, verify
from saccade.errors import ExportError, RunError
from saccade.inference.load_model import load_model
from saccade.inference.model_file import ModelFile
from saccade.inference.predictor import Predictor
from saccade.models.int8_rounding import round_to_int8
from saccade.recipes import REGISTRY
from saccade.runs.run import Run

# The formats use different network families: functional and Sequential networks, probabilities and logits.
RECIPES = {
    "h5": "quick",
    "keras": "scheduled",
    "savedmodel": "scheduled",
    "weights": "folder",
    "onnx": "folder",
    "litert": "scheduled",
    "litert-float16": "folder",
    "litert-int8": "scheduled",
}
TENSORFLOW_FORMATS = ("keras", "h5", "savedmodel", "weights")
TOLERANCE = 1e-5
IMAGE = "test/two/41.png"


# Each export for Keras or TensorFlow is verified in a process that loads TensorFlow, which takes seconds.
FORMS = [pytest.param(form, marks=[pytest.mark.long] * (form in TENSORFLOW_FORMATS)) for form in RECIPES]

# On small images, `quick` has 0.8 instead of 8.4 million weights.
SETTINGS = {"quick": {"image_size": 12}, "scheduled": {"augmented_epochs": 4, "batch_size": 12}}


class MadeOnDemand(dict[str, Any]):
    """Values by format, each of which is made when a test asks for it."""

    def __init__(self, make):
        super().__init__()
        self._make = make

    def __missing__(self, form):
        self[form] = self._make(form)
        return self[form]


@pytest.fixture(scope="module")
def runs(tiny_run, tiny_folder, tmp_path_factory):
    from saccade.training.train import train

    folder = tmp_path_factory.mktemp("families")

    @functools.cache
    def run_of(recipe):
        if recipe == "folder":
            return tiny_run
        return train(tiny_folder, recipe=recipe, settings=SETTINGS[recipe], out=folder / recipe, progress=False)

    return MadeOnDemand(lambda form: run_of(RECIPES[form]))


@pytest.fixture(scope="module")
def exports(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")

    def export(form):
        return saccade.export(runs[form], format=form, out=folder / f"model{FORMATS[form].mark}{FORMATS[form].suffix}")

    return MadeOnDemand(export)


@pytest.mark.parametrize("form", FORMS)
def test_every_format_is_written_and_verified(exports, runs, form):
    exported = exports[form]
    assert exported.format == form
    assert exported.path.exists()
    assert exported.path.is_dir() == (form == "savedmodel")
    assert exported.num_images == len(runs[form].validation_images()[0]) > 0
    assert exported.origin == "validation"
    tolerance = FORMATS[form].tolerance
    assert 0 <= exported.max_abs_error <= (0.2 if tolerance is None else tolerance)
    assert exported.same_class == 1 or tolerance is None
    written = [path for top in exported.files[:-1] for path in ([top] if top.is_file() else top.rglob("*"))]
    assert exported.size_bytes == sum(path.stat().st_size for path in written if path.is_file())


@pytest.mark.long
def test_weights_come_with_their_architecture(exports):
    files = exports["weights"].files
    assert [path.name for path in files] == ["model.weights.h5", "model.json", "model.weights.h5-info"]
    assert json.loads(files[1].read_text())["class_name"] == "Sequential"


@pytest.mark.long
def test_no_weight_is_stored_twice_in_a_savedmodel(exports, runs):
    weights = sum(value.nbytes for value in runs["savedmodel"].weights().values())
    assert exports["savedmodel"].size_bytes < 1.5 * weights


def test_no_other_file_is_left_beside_the_exports(exports):
    names = {path.name for path in exports["onnx"].path.parent.iterdir()}
    assert names == {path.name for exported in exports.values() for path in exported.files}


OPEN_ALL = """
import contextlib, io, json, runpy, sys
sys.modules["saccade"] = None
import keras, numpy as np, tensorflow as tf
folder, image = sys.argv[1], sys.argv[2]
with np.load(sys.argv[3]) as archive:
    images = {form: archive[form].astype("float32") for form in archive}
weights = keras.models.model_from_json(open(folder + "/model.json").read())
weights.load_weights(folder + "/model.weights.h5")
serve = tf.saved_model.load(folder + "/model-savedmodel/1").signatures["serving_default"]
probabilities = {
    "keras": keras.models.load_model(folder + "/model.keras").predict(images["keras"], verbose=0),
    "h5": keras.models.load_model(folder + "/model.h5", compile=False).predict(images["h5"], verbose=0),
    "savedmodel": serve(pixels=tf.constant(images["savedmodel"]))["probabilities"].numpy(),
    "weights": weights.predict(images["weights"], verbose=0),
}
assert all(array.dtype == np.float32 for array in probabilities.values())
np.savez(sys.argv[4], **probabilities)
printed = {}
for form, info_folder in json.loads(sys.argv[5]).items():
    sys.argv = [info_folder + "/example.py", image]
    with contextlib.redirect_stdout(io.StringIO()) as printed[form]:
        runpy.run_path(sys.argv[0], run_name="__main__")
print(json.dumps({form: text.getvalue() for form, text in printed.items()}))
"""


@pytest.fixture(scope="module")
def opened(exports, runs, tiny_folder, tmp_path_factory):
    """Open the exports for Keras and TensorFlow in a process without Saccade.

    One process opens all exports, because TensorFlow takes seconds to start.

    Returns:
        The probabilities of the validation images, and the output of the example programs, by format.
    """
    folder = tmp_path_factory.mktemp("opened")
    np.savez(folder / "images.npz", **{form: runs[form].validation_images()[0] for form in TENSORFLOW_FORMATS})
    info_folders = {form: str(exports[form].files[-1]) for form in TENSORFLOW_FORMATS}
    arguments = [exports["h5"].path.parent, tiny_folder / IMAGE, folder / "images.npz", folder / "probabilities.npz"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", OPEN_ALL, *map(str, arguments), json.dumps(info_folders)],
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(folder / "probabilities.npz") as predictions:
        return dict(predictions), json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
@pytest.mark.parametrize("form", TENSORFLOW_FORMATS)
def test_stock_keras_and_tensorflow_predict_the_same(opened, runs, form):
    predictions, _ = opened
    expected = Predictor.from_run(runs[form]).probabilities(runs[form].validation_images()[0])
    assert np.abs(predictions[form] - expected).max() <= TOLERANCE
    assert predictions[form].sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_without_validation_images_random_images_are_used(tiny_run, tmp_path):
    run = _copy(tiny_run, tmp_path / "run")
    (run.path / "validation.npz").unlink()

    check = make_reference(run, Predictor.from_run(run))

    assert check.origin == "random"
    assert check.images.shape == (32, 32, 32, 3)
    assert check.images.std() > 60


def test_different_probabilities_are_an_error():
    probabilities = np.full((3, 2), 0.5, np.float32)
    check = Reference(np.zeros((3, 8, 8, 3), np.uint8), probabilities, "validation", np.array([0, 1, 0]))
    off = probabilities.copy()

    off[-1, -1] += TOLERANCE / 2
    difference, same_class = agreement("onnx", off, check)
    assert 0 < difference < TOLERANCE
    assert same_class == pytest.approx(2 / 3)  # the run's own probabilities are tied, so another class is no error
    off[-1, -1] += TOLERANCE
    with pytest.raises(ExportError, match="does not give the run's probabilities") as caught:
        agreement("onnx", off, check)
    assert caught.value.expected == "probabilities within 1e-05, on 3 validation images"
    assert caught.value.found == "a largest difference of 1.5e-05"
    for other in (probabilities[:2], probabilities.astype(np.float64), np.full_like(probabilities, np.nan)):
        for form in FORMATS:
            with pytest.raises(ExportError):
                agreement(form, other, check)


def test_an_export_may_differ_by_the_rounding_error_of_the_network():
    probabilities = np.tile(np.array([0.7, 0.3], np.float32), (4, 1))

    def difference_with(own, off):
        check = Reference(
            np.zeros((4, 8, 8, 3), np.uint8), probabilities, "validation", None, lambda: probabilities + np.float32(own)
        )
        return agreement("onnx", probabilities + np.float32(off), check)[0]

    assert difference_with(own=6e-6, off=2e-5) == pytest.approx(2e-5, rel=0.01)
    for own, off, allowed in ((6e-6, 3e-5, "2e-05"), (1e-3, 2e-4, "1e-04"), (0, 2e-5, "1e-05")):
        with pytest.raises(ExportError) as caught:
            difference_with(own, off)
        assert caught.value.expected == f"probabilities within {allowed}, on 4 validation images"


def test_another_class_is_an_error_unless_the_run_is_nearly_tied():
    probabilities = np.tile(np.array([0.507, 0.493], np.float32), (10, 1))
    check = Reference(np.zeros((10, 8, 8, 3), np.uint8), probabilities, "validation", np.zeros(10, np.int64))
    flipped = np.tile(np.array([0.4995, 0.5005], np.float32), (10, 1))
    assert agreement("litert-float16", flipped, check)[1] == 0  # within 0.02, and the run's classes are nearly tied
    check = Reference(check.images, np.tile(np.array([0.53, 0.47], np.float32), (10, 1)), "validation", check.labels)
    with pytest.raises(ExportError, match="probabilities") as caught:
        agreement("litert-float16", flipped, check)
    assert "largest difference" in str(caught.value.found)


def test_eight_bit_exports_are_compared_by_accuracy():
    truth = np.arange(1000) % 2
    sure = np.where(truth[:, None] == np.arange(2), np.float32(0.9), np.float32(0.1))
    check = Reference(np.zeros((1000, 8, 8, 3), np.uint8), sure, "validation", truth)
    few, many = sure.copy(), sure.copy()
    few[:10], many[:11] = few[:10, ::-1], many[:11, ::-1]
    assert agreement("litert-int8", few, check)[1] == 0.99
    with pytest.raises(ExportError) as caught:
        agreement("litert-int8", many, check)
    assert caught.value.found == "11 fewer of 1000"


@pytest.mark.parametrize("form", FORMS)
def test_the_example_beside_an_export_predicts_the_same(exports, runs, form, tiny_folder, request):
    info_folder = exports[form].files[-1]
    assert sorted(path.name for path in info_folder.iterdir()) == ["example.py", "labels.txt", "metadata.json"]
    assert (info_folder / "labels.txt").read_text().splitlines() == list(runs[form].class_names)
    assert len((info_folder / "example.py").read_text().splitlines()) <= 50  # deep gray and color profiles take twenty
    about = json.loads((info_folder / "metadata.json").read_text())
    assert about["data_fingerprint"] == runs[form].data_fingerprint
    assert about["temperature"] == runs[form].temperature
    image = tiny_folder / IMAGE
    if form in TENSORFLOW_FORMATS:
        printed = request.getfixturevalue("opened")[1][form]
    else:
        done = subprocess.run(
            [sys.executable, "-P", info_folder / "example.py", image],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr
        printed = done.stdout
    # The eight-bit example is compared with the file itself; another test covers its difference from the run.
    (expected,) = saccade.predict(exports[form].path if form == "litert-int8" else runs[form], image)
    wanted = {one.class_name: one.probability for one in expected.top}
    found = [line.split() for line in printed.splitlines()]
    assert [name for name, _ in found] == list(wanted) or form == "litert-int8"  # whose classes may be tied
    assert sorted(name for name, _ in found) == sorted(wanted)
    for name, part in found:
        # Printed values have three digits. Eight-bit values are steps of 1/256, whose sum may differ from 1.
        tolerance = {"litert-float16": 0.006, "litert-int8": 0.0105}.get(form, 0.00051)
        assert float(part.rstrip("%")) / 100 == pytest.approx(wanted[name], abs=tolerance)


def test_onnx_and_litert_files_contain_their_metadata(exports, runs):
    record = runs["onnx"].model_record()
    for form in ("onnx", "litert-float16"):
        opened = load_model(exports[form].path)
        assert isinstance(opened, ModelFile)
        assert opened.record == record
    with zipfile.ZipFile(exports["litert-float16"].path) as archive:
        assert archive.read("labels.txt").decode().split() == list(record.class_names)


@pytest.mark.parametrize("form", ["onnx", "litert", "litert-float16"])
def test_predict_and_evaluate_accept_exported_files(exports, runs, form, tiny_folder):
    found = rows_of(saccade.predict(exports[form].path, tiny_folder / "test", top=3), runs[form])
    expected = rows_of(saccade.predict(runs[form], tiny_folder / "test", top=3), runs[form])
    assert found.shape == (60, 3)
    assert np.abs(found - expected).max() <= FORMATS[form].tolerance
    # The accuracy of the file's own probabilities: a nearly tied image may get another class than by the run.
    correct = found.argmax(axis=1) == np.repeat(np.arange(3), 20)
    assert saccade.evaluate(exports[form].path, data=tiny_folder).accuracy == pytest.approx(correct.mean())


def rows_of(predictions, run):
    """Return the probabilities in the order of the run's classes, [n, classes]."""
    by_name = [{one.class_name: one.probability for one in prediction.top} for prediction in predictions]
    return np.array([[row[name] for name in run.class_names] for row in by_name])


@pytest.fixture(scope="module")
def integer_model(exports):
    """Return the reference implementation of the eight-bit file."""
    return LiteRtInt8(exports["litert-int8"].path.read_bytes())


def test_eight_bit_probabilities_follow_the_quantization_specification(exports, runs, integer_model, tiny_folder):
    """Integer sums are exact on every processor; only the rounding of ties may differ."""
    path = exports["litert-int8"].path
    images = saccade.load(tiny_folder).splits["test"]
    steps = np.rint(integer_model.probabilities(images.take(slice(None)).astype(np.float32)) * 256)
    expected = steps / steps.sum(axis=1, keepdims=True)
    found = rows_of(saccade.predict(path, tiny_folder / "test", top=3), runs["litert-int8"])
    # A tie may be rounded up or down: a difference of at most one step in each logit and in each probability.
    logits, beta = integer_model.logits()
    at_most = np.exp(2 * beta) * (steps + 1) / 256 + 1 / 256
    at_least = np.exp(-2 * beta) * (steps - 1) / 256 - 1 / 256
    assert logits.shape == (60, 3)
    assert ((at_least <= found) & (found <= at_most)).all()
    # Ties are rare: of 75,000 sums per image, very few are near a tie, so most images have equal probabilities.
    same = np.abs(found - expected).max(axis=1) < 1e-6
    assert same.mean() >= 0.9
    correct = (expected.argmax(axis=1) == images.labels).mean()
    assert saccade.evaluate(path, data=tiny_folder).accuracy == pytest.approx(correct, abs=(~same).mean() + 1e-9)


def test_eight_bit_weights_are_those_of_the_rounded_network(runs, integer_model):
    run = runs["litert-int8"]
    network = round_to_int8(Predictor.from_run(run).folded, run.validation_images()[0])
    with_weights = [layer for layer in network.layers if layer.get_weights()]
    assert len(with_weights) == len(integer_model.layers()) == 5
    for layer, (inputs, kernel, bias) in zip(with_weights, integer_model.layers(), strict=True):
        weights, biases = (weight.astype(np.float64) for weight in layer.get_weights())
        weights = np.moveaxis(weights, -1, 0)  # the file stores the channel of the scales first
        steps = integer_model.scales(kernel)[0]
        assert steps.shape == (len(weights),)
        stored = integer_model.constant(kernel) * steps.reshape(-1, *[1] * (weights.ndim - 1))
        np.testing.assert_array_less(np.abs(stored - weights) / steps.reshape(-1, *[1] * (weights.ndim - 1)), 0.01)
        of_biases = integer_model.scales(inputs)[0] * steps
        np.testing.assert_array_less(np.abs(integer_model.constant(bias) * of_biases - biases) / of_biases, 0.6)


@pytest.mark.parametrize("cut", [0, 8, 30, 1000, -1])
def test_a_damaged_litert_file_is_an_error(exports, tmp_path, cut):
    (tmp_path / "model.tflite").write_bytes(exports["litert"].path.read_bytes()[:cut])
    with pytest.raises(RunError, match=r"model\.tflite"):
        load_model(tmp_path / "model.tflite")


def test_files_for_keras_are_not_opened(tiny_run, tmp_path):
    copied = shutil.copy(tiny_run.path / "model.keras", tmp_path / "model.h5")
    for path in (tiny_run.path / "model.keras", copied):
        with pytest.raises(RunError, match="which Saccade does not open"):
            load_model(path)


@pytest.mark.nightly
@pytest.mark.parametrize("recipe", list(REGISTRY))
def test_every_recipe_exports_to_every_format(tiny_folder, tmp_path, recipe):
    # A trained network: the classes of an untrained one would depend on the quantization error.
    run = saccade.train(tiny_folder, recipe=recipe, epochs=12, out=tmp_path / "run", progress=False)
    errors = {}
    for form in FORMATS:
        try:
            assert saccade.export(run, format=form).num_images > 0
        except ExportError as error:
            errors[form] = str(error)
    if recipe in ("quick", "classic", "two-phase"):
        # Reduced precision may cost large dense layers too much accuracy; the error gives the remedy.
        for form in {"litert-float16", "litert-int8"} & errors.keys():
            assert "take --format litert, which is exact" in errors.pop(form)
    assert errors == {}


def test_a_file_that_does_not_open_is_an_error(runs, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\xff" + bytes(100))
    check = make_reference(runs["onnx"], Predictor.from_run(runs["onnx"]))

    with pytest.raises(ExportError, match="could not be opened again") as caught:
        verify("onnx", tmp_path / "model.onnx", check)

    assert "INVALID_PROTOBUF" in str(caught.value)


def test_a_failed_verification_leaves_no_file(tiny_run, tmp_path):
    """The weights overflow, as after a diverged training, so that the probabilities are NaN."""
    run = _copy(tiny_run, tmp_path / "run")
    run.write_weights({name: value * np.float32(1e30) for name, value in run.weights().items()})
    before = sorted(path.name for path in run.path.iterdir())

    with pytest.raises(ExportError, match="does not give the run's probabilities") as caught:
        saccade.export(run, format="onnx")

    assert caught.value.found == "a largest difference of nan"
    assert sorted(path.name for path in run.path.iterdir()) == before


def test_a_full_disk_leaves_no_file(tiny_run, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ExportError, match="can't be written") as caught:
            saccade.export(tiny_run, out=tmp_path / "model.keras")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert "make room" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_an_interrupted_export_leaves_no_file(tiny_run, tmp_path):
    """The signal comes during the verification, because Python may drop an exception in a callback of HDF5."""
    command = [sys.executable, "-m", "saccade", "export", str(tiny_run.path), "--format", "keras"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "model.keras")], stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and not (children.read_text() and list(tmp_path.iterdir())):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert errors.endswith("stopped\n")
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_not_overwritten(tiny_run, tmp_path):
    for name, form in (("model.keras", "keras"), ("model.weights.h5", "weights"), ("model", "savedmodel")):
        (tmp_path / name).write_text("mine")
        with pytest.raises(ExportError, match="nothing is overwritten"):
            saccade.export(tiny_run, format=form, out=tmp_path / name)
        assert (tmp_path / name).read_text() == "mine"
    (tmp_path / "other.json").write_text("mine")
    with pytest.raises(ExportError, match=r"other\.json' exists already"):
        saccade.export(tiny_run, format="weights", out=tmp_path / "other.weights.h5")


def test_invalid_paths_and_formats(tiny_run, tmp_path):
    with pytest.raises(ExportError, match="does not exist"):
        saccade.export(tiny_run, out=tmp_path / "nowhere" / "model.keras")
    with pytest.raises(ExportError, match=r"needs a name that ends in \.weights\.h5") as caught:
        saccade.export(tiny_run, format="weights", out=tmp_path / "model.h5")
    assert caught.value.remedy == f"--out {tmp_path / 'model.weights.h5'}"
    with pytest.raises(ExportError, match="no export format 'pickle'"):
        saccade.export(tiny_run, format="pickle")
    with pytest.raises(RunError, match="is not a run"):
        saccade.export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def _copy(run, path):
    return Run.open(shutil.copytree(run.path, path, ignore=shutil.ignore_patterns("*.keras", "*.png")))
