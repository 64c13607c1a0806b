"""Each fit in predict, in the server and its two APIs, and in the example program beside an export, on wide images."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest
from tests.data.images import encode, photo
from tests.deploy.server.serving import serving

import saccade
from saccade.data.decoding.decode import decode

FITS = ("crop", "pad", "squash")


@pytest.fixture(scope="module")
def runs(field_cases, tmp_path_factory):
    """Train a run with each fit: fit -> run."""
    folder = tmp_path_factory.mktemp("fits")
    return {
        fit: saccade.train(
            field_cases / "pixels/wide", recipe="folder", epochs=4, settings={"fit": fit, "image_size": 32},
            out=folder / fit, progress=False,
        )
        for fit in FITS
    }  # fmt: skip


@pytest.fixture(scope="module")
def images(field_cases, tmp_path_factory):
    """Return a wide image, and a wide and a high JPEG that the decoder reduces."""
    folder = tmp_path_factory.mktemp("images")
    for name, (height, width) in {"wide.jpg": (300, 1000), "high.jpg": (900, 200)}.items():
        (folder / name).write_bytes(encode(photo(height, width), "JPEG"))
    return [field_cases / "pixels/wide/left/0.png", folder / "wide.jpg", folder / "high.jpg"]


def by_class(prediction):
    return {best.class_name: best.probability for best in prediction.top}


def test_a_run_keeps_its_fit(runs):
    for fit, run in runs.items():
        assert saccade.Run.open(run.path).preprocessing.fit == run.recipe.fit == fit
        assert json.loads((run.path / "data.json").read_text())["preprocessing"]["fit"] == fit


def test_a_run_without_the_key_is_a_run_of_fit_crop(runs):
    path = runs["crop"].path / "data.json"
    record = json.loads(path.read_text())
    del record["preprocessing"]["fit"]
    before = path.read_text()
    path.write_text(json.dumps(record))
    assert saccade.Run.open(runs["crop"].path).preprocessing == runs["crop"].preprocessing
    path.write_text(before)


@pytest.mark.parametrize("fit", [pytest.param(fit, marks=[pytest.mark.long] * (fit != "pad")) for fit in FITS])
def test_the_example_program_and_the_file_predict_like_the_run(runs, images, tmp_path, fit):
    exported = saccade.export(runs[fit], format="onnx", out=tmp_path / "model.onnx")
    info_folder = exported.files[-1]
    about = json.loads((info_folder / "metadata.json").read_text())
    assert about["preprocessing"]["fit"] == fit
    words = {
        "crop": "the center cut out",
        "pad": "the whole image just fits",
        "squash": "height and width independently",
    }
    assert [name for name in FITS if words[name] in about["decoding"]] == [fit]
    expected = saccade.predict(runs[fit], images)
    assert [by_class(one) for one in saccade.predict(exported.path, images)] == [
        pytest.approx(by_class(one), abs=1e-5) for one in expected
    ]
    for image, prediction in zip(images, expected, strict=True):
        command = [sys.executable, "-P", str(info_folder / "example.py"), str(image)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout
        found = {name: float(part.rstrip("%")) / 100 for name, part in map(str.split, printed.splitlines())}
        assert found == pytest.approx(by_class(prediction), abs=0.00051)


def test_both_apis_of_the_server_predict_like_each_run(runs, images):
    with serving(*(run.path for run in runs.values())) as server:
        models = {model["name"]: model for model in server.json("GET", "/api/models")["models"]}
        for fit, run in runs.items():
            assert models[run.name]["fit"] == fit
            for image, expected in zip(images, saccade.predict(run, images), strict=True):
                contents = image.read_bytes()
                shown = server.json("POST", f"/api/models/{run.name}/image", contents)
                served = {one["class_name"]: one["probability"] for one in shown["classes"]}
                assert served == pytest.approx(by_class(expected), abs=1e-5)
                encoded = base64.b64encode(contents).decode()
                tensor = {"name": "images", "shape": [1], "datatype": "BYTES", "data": [encoded]}
                body = {"inputs": [tensor]}
                output = server.json("POST", f"/v2/models/{run.name}/infer", body)["outputs"][0]
                found = dict(zip(run.class_names, output["data"], strict=True))
                assert found == pytest.approx(by_class(expected), abs=1e-5)


def test_the_report_and_the_model_card_name_the_fit(runs):
    saccade.evaluate(runs["pad"])
    report = saccade.report(runs["pad"])
    assert report.card is not None
    assert "32x32 pixels (`fit=pad`)" in report.card.read_text(encoding="utf-8")
    assert "32x32 pixels, fit=pad" in report.page.read_text(encoding="utf-8")


def test_other_data_is_decoded_with_the_fit_of_the_run(runs, field_cases):
    """The whole of the images is new data, under another path: evaluated with the fit of the run."""
    found = saccade.evaluate(runs["squash"], data=field_cases / "pixels/wide", split="train")
    assert found.n == runs["squash"].data.num_images["train"]
    image = field_cases / "pixels/wide/left/0.png"
    pixels = [decode(image.read_bytes(), run.preprocessing).pixels for run in runs.values()]
    assert all(not np.array_equal(pixels[first], pixels[second]) for first, second in ((0, 1), (0, 2), (1, 2)))
