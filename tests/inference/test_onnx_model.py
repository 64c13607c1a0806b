"""A few images are answered from model.onnx, without TensorFlow, and as the run itself answers."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

import saccade
from saccade.errors import DataError, RunError
from saccade.inference.load_model import load_model
from saccade.inference.onnx_model import load_inference_onnx
from saccade.inference.predictor import Predictor
from saccade.runs.run import Run


@pytest.fixture(scope="module")
def light_run(tiny_run, tmp_path_factory):
    """As whatever trains leaves it, here `saccade.train`; copied to a directory of another name."""
    return Run.open(shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("light") / "run"))


def test_it_gives_the_runs_probabilities(light_run):
    images = np.random.default_rng(0).integers(0, 256, (150, 32, 32, 3)).astype(np.uint8)
    model = load_inference_onnx(light_run)
    assert model is not None
    expected = Predictor.from_run(light_run).probabilities(images)
    np.testing.assert_allclose(model.probabilities(images), expected, atol=1e-5)
    assert model.class_names == light_run.class_names
    assert model.preprocessing == light_run.preprocessing


def test_predict_needs_no_tensorflow(light_run, tiny_folder):
    program = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = sys.modules["scipy"] = None
from saccade.cli.main import main
sys.argv = ["saccade", "predict", *sys.argv[1:], "--json"]
main()
"""
    image = tiny_folder / "test" / "two" / "41.png"
    for source in (light_run.path, light_run.path / "model.onnx"):
        done = subprocess.run(
            [sys.executable, "-c", program, source, image], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        (found,) = json.loads(done.stdout)
        expected = Predictor.from_run(light_run).probabilities(
            saccade.load(tiny_folder).splits["test"].take(np.array([41]))
        )
        assert found["top"][0]["probability"] == pytest.approx(float(expected.max()), abs=1e-5)


def test_one_of_other_weights_is_not_used(light_run, tmp_path):
    run = Run.open(shutil.copytree(light_run.path, tmp_path / "run"))
    assert load_inference_onnx(run) is not None
    run.write_weights({name: 2 * value for name, value in run.weights().items()})
    assert load_inference_onnx(run) is None
    (run.path / "model.onnx").write_bytes(b"no model")
    assert load_inference_onnx(run) is None
    (run.path / "model.onnx").unlink()
    assert load_inference_onnx(run) is None


def test_a_model_file_alone_can_not_keep_a_target_accuracy(light_run, tiny_folder):
    file = light_run.path / "model.onnx"
    with pytest.raises(RunError, match="supports neither abstention"):
        saccade.predict(file, tiny_folder / "test", abstain=0.9)
    with pytest.raises(RunError, match="out-of-distribution"):
        saccade.predict(file, tiny_folder / "test", ood=True)


def test_a_datasets_own_image_by_a_model_file(light_run, tiny_folder):
    (found,) = saccade.predict(light_run.path / "model.onnx", f"{tiny_folder}:test:3")
    (expected,) = saccade.predict(light_run, f"{tiny_folder}:test:3")
    assert found == expected
    assert found.true_class == "null"
    with pytest.raises(DataError, match="does not exist"):
        saccade.predict(light_run.path / "model.onnx", f"{tiny_folder}:validation:0")


def external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/hostname"


def other_operator(model):
    model.graph.node[0].op_type = "Loop"


def other_domain(model):
    model.graph.node[0].domain = "com.example"


def subgraph(model):
    attribute = model.graph.node[0].attribute.add()
    attribute.name, attribute.type = "body", onnx.AttributeProto.GRAPH


def other_classes(model):
    note = next(note for note in model.metadata_props if note.key == "saccade")
    record = json.loads(note.value)
    note.value = json.dumps({**record, "class_names": [*record["class_names"], "more"]})


def unprintable(model):
    note = next(note for note in model.metadata_props if note.key == "saccade")
    record = json.loads(note.value)
    note.value = json.dumps({**record, "class_names": ["\x1b[2J", *record["class_names"][1:]]})


def no_note(model):
    del model.metadata_props[:]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (external, "in another file"),
        (other_operator, "'Loop'"),
        (other_domain, "the operator"),
        (subgraph, "a graph within"),
        (other_classes, "inputs and outputs"),
        (unprintable, "printable"),
        (no_note, "has no metadata of its classes"),
    ],
)
def test_a_file_from_anyone_is_run_only_if_it_is_like_an_export(light_run, tmp_path, change, found):
    model = onnx.load(light_run.path / "model.onnx")
    change(model)
    (tmp_path / "changed.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(RunError) as caught:
        load_model(tmp_path / "changed.onnx")
    assert found in str(caught.value)


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04", bytes(1000), b"\x08\x09\x12\xff\xff\xff\xff\x0f"])
def test_what_is_no_model_is_reported(tmp_path, contents, tiny_folder):
    (tmp_path / "model.onnx").write_bytes(contents)
    with pytest.raises(RunError, match=r"model\.onnx"):
        saccade.predict(tmp_path / "model.onnx", tiny_folder / "test")
