"""Inference with the model.onnx of a run, without TensorFlow, and with untrusted ONNX files."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

import saccade
from saccade.errors import DataError, RunError
from saccade.inference import onnx_model
from saccade.inference.load_model import load_model
from saccade.inference.onnx_model import load_inference_onnx
from saccade.inference.predictor import Predictor
from saccade.runs.run import Run


@pytest.fixture(scope="module")
def run_with_onnx(tiny_run, tmp_path_factory):
    """Copy a trained run, with its model.onnx, to a directory of another name."""
    return Run.open(shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("light") / "run"))


def test_the_onnx_model_has_the_runs_probabilities(run_with_onnx):
    images = np.random.default_rng(0).integers(0, 256, (150, 32, 32, 3)).astype(np.uint8)
    model = load_inference_onnx(run_with_onnx)
    assert model is not None
    expected = Predictor.from_run(run_with_onnx).probabilities(images)
    np.testing.assert_allclose(model.probabilities(images), expected, atol=1e-5)
    assert model.class_names == run_with_onnx.class_names
    assert model.preprocessing == run_with_onnx.preprocessing


def test_cores_that_share_the_batches_give_each_image_its_own_results(probe_run, monkeypatch):
    model = load_inference_onnx(probe_run)
    assert model is not None
    height, width = probe_run.preprocessing.height, probe_run.preprocessing.width
    images = np.random.default_rng(0).integers(0, 256, (50, height, width, 3)).astype(np.uint8)
    monkeypatch.setattr(onnx_model, "usable_cores", lambda: 1)
    one_by_one = [model.probabilities_and_features(images[i : i + 1]) for i in range(len(images))]
    probabilities, features = (np.concatenate(parts) for parts in zip(*one_by_one, strict=True))
    monkeypatch.setattr(onnx_model, "usable_cores", lambda: 3)
    assert len(images) >= 4 * 3 * model.batch_size
    shared = model.probabilities_and_features(images)
    assert "_session_of_one_thread" in vars(model)  # the cores have shared the batches
    np.testing.assert_allclose(shared[0], probabilities, atol=1e-5)
    np.testing.assert_allclose(shared[1], features, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(model.probabilities(images), shared[0])
    # The rows of different images are far apart compared with these tolerances.
    assert np.abs(np.diff(features, axis=0)).max(axis=1).min() > 0.1


def test_predict_needs_no_tensorflow(run_with_onnx, tiny_folder):
    program = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = sys.modules["scipy"] = None
from saccade.cli.main import main
sys.argv = ["saccade", "predict", *sys.argv[1:], "--json"]
main()
"""
    image = tiny_folder / "test" / "two" / "41.png"
    for source in (run_with_onnx.path, run_with_onnx.path / "model.onnx"):
        done = subprocess.run(
            [sys.executable, "-c", program, source, image], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        (found,) = json.loads(done.stdout)
        expected = Predictor.from_run(run_with_onnx).probabilities(
            saccade.load(tiny_folder).splits["test"].take(np.array([41]))
        )
        assert found["top"][0]["probability"] == pytest.approx(float(expected.max()), abs=1e-5)


def test_an_onnx_model_of_other_weights_is_not_used(run_with_onnx, tmp_path):
    run = Run.open(shutil.copytree(run_with_onnx.path, tmp_path / "run"))
    assert load_inference_onnx(run) is not None
    run.write_weights({name: 2 * value for name, value in run.weights().items()})
    assert load_inference_onnx(run) is None
    (run.path / "model.onnx").write_bytes(b"no model")
    assert load_inference_onnx(run) is None
    (run.path / "model.onnx").unlink()
    assert load_inference_onnx(run) is None


def test_a_model_file_supports_neither_abstention_nor_ood_p_values(run_with_onnx, tiny_folder):
    file = run_with_onnx.path / "model.onnx"
    with pytest.raises(RunError, match="supports neither abstention"):
        saccade.predict(file, tiny_folder / "test", abstain=0.9)
    with pytest.raises(RunError, match="out-of-distribution"):
        saccade.predict(file, tiny_folder / "test", ood=True)


def test_a_dataset_image_with_a_model_file(run_with_onnx, tiny_folder):
    (found,) = saccade.predict(run_with_onnx.path / "model.onnx", f"{tiny_folder}:test:3")
    (expected,) = saccade.predict(run_with_onnx, f"{tiny_folder}:test:3")
    assert found == expected
    assert found.true_class == "null"
    with pytest.raises(DataError, match="does not exist"):
        saccade.predict(run_with_onnx.path / "model.onnx", f"{tiny_folder}:validation:0")


def with_external_data(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/hostname"


def with_other_operator(model):
    model.graph.node[0].op_type = "Loop"


def with_other_domain(model):
    model.graph.node[0].domain = "com.example"


def with_subgraph(model):
    attribute = model.graph.node[0].attribute.add()
    attribute.name, attribute.type = "body", onnx.AttributeProto.GRAPH


def with_other_classes(model):
    note = next(note for note in model.metadata_props if note.key == "saccade")
    record = json.loads(note.value)
    note.value = json.dumps({**record, "class_names": [*record["class_names"], "more"]})


def with_unprintable_class(model):
    note = next(note for note in model.metadata_props if note.key == "saccade")
    record = json.loads(note.value)
    note.value = json.dumps({**record, "class_names": ["\x1b[2J", *record["class_names"][1:]]})


def without_metadata(model):
    del model.metadata_props[:]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (with_external_data, "in another file"),
        (with_other_operator, "'Loop'"),
        (with_other_domain, "the operator"),
        (with_subgraph, "a graph within"),
        (with_other_classes, "inputs and outputs"),
        (with_unprintable_class, "printable"),
        (without_metadata, "has no metadata of its classes"),
    ],
)
def test_an_untrusted_file_is_run_only_if_it_is_like_an_export(run_with_onnx, tmp_path, change, found):
    model = onnx.load(run_with_onnx.path / "model.onnx")
    change(model)
    (tmp_path / "changed.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(RunError) as caught:
        load_model(tmp_path / "changed.onnx")
    assert found in str(caught.value)


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04", bytes(1000), b"\x08\x09\x12\xff\xff\xff\xff\x0f"])
def test_a_file_that_is_not_a_model_is_an_error(tmp_path, contents, tiny_folder):
    (tmp_path / "model.onnx").write_bytes(contents)
    with pytest.raises(RunError, match=r"model\.onnx"):
        saccade.predict(tmp_path / "model.onnx", tiny_folder / "test")
