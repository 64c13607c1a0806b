"""Predictions of a server by each protocol, equal to those of `predict`, and metadata of its models."""

import asyncio
import base64
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.deploy.server.serving import serving

import saccade
from saccade.data.decoding.decode import decode
from saccade.deploy.server.image_api import occluded
from saccade.errors import RunError, SaccadeError, ServerError
from saccade.inference.onnx_model import load_inference_onnx


@pytest.fixture(scope="module")
def probabilities(images_run, test_files):
    """Return the probabilities of `predict` for each test image, by class name."""
    return [
        {one.class_name: one.probability for one in prediction.top}
        for prediction in saccade.predict(images_run, test_files)
    ]


@pytest.fixture(scope="module")
def pixels(images_run, test_files):
    return np.stack([decode(file.read_bytes(), images_run.preprocessing).pixels for file in test_files])


def assert_same(rows, probabilities, class_names):
    assert len(rows) == len(probabilities)
    for row, expected in zip(rows, probabilities, strict=True):
        np.testing.assert_allclose(row, [expected[name] for name in class_names], atol=1e-6)


def encoded(file):
    return base64.b64encode(file.read_bytes()).decode()


def test_an_image_file(server, test_files, probabilities):
    for file, expected in zip(test_files, probabilities, strict=True):
        response = server.json("POST", "/api/models/images/image", file.read_bytes())
        assert response["model"] == "images"
        assert response["version"] == "1"
        assert response["abstained"] is False
        assert {one["class_name"]: one["probability"] for one in response["classes"]} == pytest.approx(
            expected, abs=1e-6
        )
        values = [one["probability"] for one in response["classes"]]
        assert values == sorted(values, reverse=True)


def test_top_limits_the_classes(server, test_files):
    response = server.json("POST", "/api/models/images/image?top=1", test_files[0].read_bytes())
    assert len(response["classes"]) == 1


@pytest.mark.parametrize("form", ["rows", "named rows", "columns", "named columns"])
@pytest.mark.parametrize("kind", ["pixels", "images"])
def test_tensorflow_serving(server, images_run, test_files, pixels, probabilities, form, kind):
    instances = pixels.tolist() if kind == "pixels" else [{"b64": encoded(file)} for file in test_files]
    body = {
        "rows": {"instances": instances},
        "named rows": {"signature_name": "serving_default", "instances": [{"pixels": one} for one in instances]},
        "columns": {"inputs": instances},
        "named columns": {"inputs": {"pixels": instances}},
    }[form]
    response = server.json("POST", "/v1/models/images:predict", body)
    rows = response["outputs" if "columns" in form else "predictions"]
    assert_same(rows, probabilities, images_run.class_names)
    same = server.json("POST", "/v1/models/images/versions/1:predict", body)
    assert np.allclose(rows, same["outputs" if "columns" in form else "predictions"], atol=1e-6)


@pytest.mark.parametrize("form", ["nested", "flat", "FP32", "images"])
def test_open_inference_protocol(server, images_run, test_files, pixels, probabilities, form):
    given = {
        "nested": {"name": "pixels", "datatype": "UINT8", "data": pixels.tolist()},
        "flat": {"name": "pixels", "datatype": "UINT8", "data": pixels.ravel().tolist()},
        "FP32": {"name": "pixels", "datatype": "FP32", "data": pixels.astype(float).ravel().tolist()},
        "images": {"name": "images", "datatype": "BYTES", "data": [encoded(file) for file in test_files]},
    }[form]
    shape = [len(test_files)] if form == "images" else list(pixels.shape)
    response = server.json("POST", "/v2/models/images/infer", {"id": "mine", "inputs": [{**given, "shape": shape}]})
    assert (response["model_name"], response["model_version"], response["id"]) == ("images", "1", "mine")
    (output,) = response["outputs"]
    assert (output["name"], output["datatype"]) == ("probabilities", "FP32")
    rows = np.array(output["data"]).reshape(output["shape"])
    assert_same(rows, probabilities, images_run.class_names)


def test_metadata_of_the_protocols(server, images_run):
    preprocessing, classes = images_run.preprocessing, len(images_run.class_names)
    state = server.json("GET", "/v1/models/images")["model_version_status"][0]
    assert (state["version"], state["state"]) == ("1", "AVAILABLE")
    signature = server.json("GET", "/v1/models/images/metadata")["metadata"]["signature_def"]["signature_def"]
    sizes = signature["serving_default"]["inputs"]["pixels"]["tensor_shape"]["dim"]
    assert [size["size"] for size in sizes] == ["-1", str(preprocessing.height), str(preprocessing.width), "3"]
    metadata = server.json("GET", "/v2/models/images")
    assert metadata["inputs"][0] == {
        "name": "pixels",
        "datatype": "FP32",
        "shape": [-1, preprocessing.height, preprocessing.width, 3],
    }
    assert metadata["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]}]
    assert server.json("GET", "/v2/models/images/ready")["ready"] is True
    assert server.json("GET", "/v2/health/live") == {"live": True}
    assert server.json("GET", "/v2/health/ready") == {"ready": True}
    assert server.json("GET", "/v2")["name"] == "saccade"


def test_the_occlusion_map_is_the_change_of_the_probability(server, images_run, test_files, pixels):
    response = server.json("POST", "/api/models/images/occlusion", test_files[0].read_bytes())
    change = np.array(response["change"])
    assert change.shape == (8, 8)
    model = load_inference_onnx(images_run)
    assert model is not None
    whole = model.probabilities(pixels[:1])[0]
    best = int(whole.argmax())
    assert response["class_name"] == images_run.class_names[best]
    hidden = pixels[0].copy()
    hidden[14:22, 6:14] = 128  # the patch for row 4, column 2: cells of 4x4 pixels, patches of 8x8
    expected = model.probabilities(hidden[None])[0][best] - whole[best]
    assert change[4, 2] == pytest.approx(expected, abs=1e-5)
    assert np.abs(change).max() > 0.001


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (32, 32), (37, 64)])
def test_every_pixel_of_an_image_of_any_size_is_occluded(size):
    images = occluded(np.zeros((*size, 3), np.uint8))
    assert len(images) == 64
    assert all((image == 128).any() for image in images)
    assert np.all(np.max(images, axis=0) == 128)


def test_metadata_of_the_models(server, images_run):
    (model,) = server.json("GET", "/api/models")["models"]
    report = json.loads((images_run.path / "report.json").read_text())
    assert model["name"] == "images"
    assert model["class_names"] == list(images_run.class_names)
    assert (model["test"]["accuracy"], model["test"]["num_images"]) == (report["accuracy"], report["n"])
    assert [model["test"]["low"], model["test"]["high"]] == report["accuracy_interval"]
    assert model["weights"] == images_run.weights_fingerprint()
    assert model["calibrated"] is True
    assert str(images_run.path) not in json.dumps(model)


def test_predictions_below_the_threshold_are_abstained(images_run, test_files):
    target_accuracy = 0.6
    with serving(images_run.path, target_accuracy=target_accuracy) as server:
        (model,) = server.json("GET", "/api/models")["models"]
        assert model["target_accuracy"] == target_accuracy
        expected = saccade.predict(images_run, test_files, abstain=target_accuracy)
        predictions = saccade.Client(server.url).predict(test_files)
        assert [one.abstained for one in predictions] == [one.abstained for one in expected]
        assert {one.abstained for one in predictions} == {
            one.top[0].probability < model["confidence_threshold"] for one in predictions
        }


def test_parallel_requests_are_predicted_in_batches(server, images_run, test_files, probabilities):
    client = saccade.Client(server.url)
    with ThreadPoolExecutor(4) as threads:
        several = list(threads.map(lambda _: client.predict(test_files, top=3), range(4)))
    for predictions in several:
        for prediction, file, expected in zip(predictions, test_files, probabilities, strict=True):
            assert prediction.name == str(file)
            assert {one.class_name: one.probability for one in prediction.top} == pytest.approx(expected, abs=1e-6)
    lines = server.request("GET", "/metrics")[2].decode().splitlines()
    counts = {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("saccade_batch_images")}
    batches = counts['saccade_batch_images_count{model="images"}']
    assert counts['saccade_batch_images_sum{model="images"}'] > batches > 0
    assert "saccade_waiting_images 0.0" in lines


def test_the_client_keeps_the_order_of_readable_and_unreadable_images(server, test_files, tmp_path):
    wrong = tmp_path / "wrong.jpg"
    wrong.write_text("no image")
    predictions = saccade.Client(server.url, "images").predict(
        [test_files[0], wrong, tmp_path / "missing", wrong], top=2
    )
    assert [prediction.name for prediction in predictions] == [
        str(test_files[0]), str(wrong), str(tmp_path / "missing"), str(wrong),
    ]  # fmt: skip
    assert predictions[3] == predictions[1]
    assert len(predictions[0].top) == 2
    assert predictions[1].unreadable_reason == "not an image: it looks like text"
    assert predictions[2].unreadable_reason == "the file can't be read: No such file or directory"


def test_errors_of_the_client(server, tmp_path, test_files):
    with pytest.raises(ServerError, match="no model of that name"):
        saccade.Client(server.url, "other").predict(test_files[0])
    with pytest.raises(ServerError, match="can't be reached"):
        saccade.Client("http://127.0.0.1:9").predict(test_files[0])
    for url in ("127.0.0.1:8000", "http://", "http://localhost:port", "http://localhost:99999"):
        with pytest.raises(SaccadeError, match="is not the URL"):
            saccade.Client(url)
    with pytest.raises(SaccadeError, match="this is no image"):
        saccade.Client(server.url).predict([3.5])
    with pytest.raises(SaccadeError, match="is not a file"):
        saccade.Client(server.url).predict("digits:test:0")


@pytest.mark.long
def test_several_models_by_their_names(images_run, test_files, tmp_path):
    exported = saccade.export(images_run, format="onnx", out=tmp_path / "other.onnx")
    with serving(images_run.path, exported.path) as server:
        assert [model["name"] for model in saccade.Client(server.url).models()] == ["images", "other"]
        by_run = saccade.Client(server.url, "images").predict(test_files[:5])
        by_file = saccade.Client(server.url, "other").predict(test_files[:5])
        assert [one.top[0].class_name for one in by_run] == [one.top[0].class_name for one in by_file]
        with pytest.raises(ServerError, match="several models"):
            saccade.Client(server.url).predict(test_files[0])


def test_errors_of_serve(images_run, tmp_path):
    with pytest.raises(RunError, match="same name"):
        saccade.serve([images_run, images_run], port=0)
    with pytest.raises(RunError, match="is not a run"):
        saccade.serve(tmp_path, port=0)
    with pytest.raises(RunError, match="no confidence threshold reaches"):
        saccade.serve(images_run, port=0, abstain=0.9999)
    with pytest.raises(SaccadeError, match="can't listen"):
        saccade.serve(images_run, host="203.0.113.1", port=0)
    for token in ("", "short", "a token with spaces in it", "a-token-with-an-end\n"):
        with pytest.raises(SaccadeError, match="token can't be used"):
            saccade.serve(images_run, port=0, token=token)


def test_a_notebook_gets_a_clear_error(images_run):
    async def in_a_cell():
        saccade.serve(images_run, port=0)

    with pytest.raises(SaccadeError, match="within a running event loop"):
        asyncio.run(in_a_cell())
