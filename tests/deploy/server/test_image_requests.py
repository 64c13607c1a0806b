"""Images in forms and in all spellings of base64, scaled pixels, and the position of a bad image."""

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request

import numpy as np
import pytest
from tests.deploy.server.serving import TOKEN, serving

import saccade

IMAGE, PREDICT, INFER = "/api/models/images/image", "/v1/models/images:predict", "/v2/models/images/infer"
BOUNDARY = "0123456789abcdef"
FORM = {"Content_Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(*parts, end="--\r\n"):
    """Return a form of parts, each a header line and the contents."""
    lines = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {header}\r\n\r\n".encode() + contents + b"\r\n"
        for header, contents in parts
    )
    return lines + f"--{BOUNDARY}{end}".encode()


@pytest.fixture(scope="module")
def expected(images_run, test_files):
    (prediction,) = saccade.predict(images_run, [test_files[0]])
    return {one.class_name: pytest.approx(one.probability, abs=1e-5) for one in prediction.top}


def classes(response):
    return {one["class_name"]: one["probability"] for one in response["classes"]}


def test_a_form_with_a_file(server, test_files, expected):
    image = test_files[0].read_bytes()
    file = ('name="file"; filename="a \\"b\\".png"\r\nContent-Type: image/png', image)
    for body in (form(file), form(('name="note"', b"a field"), file), form(('name="x"; filename=""', image))):
        assert classes(server.json("POST", IMAGE, body, **FORM)) == expected
    occlusion = "/api/models/images/occlusion"
    assert server.json("POST", occlusion, form(file), **FORM) == server.json("POST", occlusion, image)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_sends_a_form(server, test_files, expected):
    command = ["curl", "-sS", "-F", f"file=@{test_files[0]}", server.url + IMAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert classes(json.loads(done.stdout)) == expected


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (
            form(('name="note"', b"x")),
            FORM,
            400,
            "expected a form with one file, as from curl -F file=@cat.jpg; found 0 files",
        ),
        (form(('name="a"; filename="a"', b"x"), ('name="b"; filename="b"', b"y")), FORM, 400, "found 2 files"),
        (form(('name="a"; filename="a"', b"x"), end=""), FORM, 400, "found a part of a form"),
        (b"", FORM, 400, "found a part of a form"),
        (b"no form", FORM, 400, "the body is not the form that its Content-Type describes"),
        (form(*[('name="a"', b"x")] * 17), FORM, 413, "too many parts in a form: 16 are the most"),
        (b"x", {"Content_Type": "multipart/form-data"}, 400, "the form has no boundary in its Content-Type"),
        (b"x", {"Content_Type": f"multipart/form-data; boundary={'b' * 500}"}, 400, "the body is not the form"),
        (form(('name="a"; filename="a"\r\n' + "X: y\r\n" * 40 + "Z: z", b"x")), FORM, 400, "the body is not the form"),
        (form(('name="a"; filename="a"', b"hello")), FORM, 415, "not an image: it looks like text"),
    ],
)
def test_bad_forms(server, body, headers, status, reason):
    found, _, content = server.request("POST", IMAGE, body, **headers)
    assert (found, reason in json.loads(content)["error"]) == (status, True), content


def spellings(contents):
    plain = base64.b64encode(contents).decode()
    wrapped = "\n".join(plain[start : start + 76] for start in range(0, len(plain), 76))
    url_safe = base64.urlsafe_b64encode(contents).decode()
    return [plain, wrapped, wrapped.replace("\n", "\r\n"), url_safe, url_safe.rstrip("="), plain.rstrip("="),
            f"data:image/png;base64,{plain}", f"data:;BASE64,{wrapped}"]  # fmt: skip


def test_every_spelling_of_base64(server, images_run, test_files):
    # The longest runs of special letters, and each length of padding.
    for file in test_files[:3]:
        (predicted,) = saccade.predict(images_run, [file])
        by_class = {one.class_name: one.probability for one in predicted.top}
        row = pytest.approx([by_class[name] for name in images_run.class_names], abs=1e-5)
        texts = spellings(file.read_bytes())
        shown = server.json("POST", PREDICT, {"instances": [{"b64": text} for text in texts]})
        assert shown["predictions"] == [row] * len(texts)
        tensor = {"name": "images", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
        data = server.json("POST", INFER, {"inputs": [tensor]})["outputs"][0]["data"]
        assert np.reshape(data, (len(texts), -1)).tolist() == [row] * len(texts)


@pytest.mark.parametrize("text", ["!", "abcde", "data:image/png,abc", "data:", "aä==", "a b c d e"])
def test_other_texts_are_not_base64(server, text):
    found, _, content = server.request("POST", PREDICT, json.dumps({"instances": [{"b64": text}]}))
    assert found == 400, content


def test_the_requests_of_the_field(server, field_cases, images_run):
    """The answers to bodies that other programs wrote; the images in them are not of the run's classes."""
    folder = field_cases / "requests"
    for name in ("b64nl", "b64url", "datauri"):
        (row,) = server.json("POST", PREDICT, (folder / f"{name}.json").read_bytes())["predictions"]
        assert sum(row) == pytest.approx(1, abs=1e-5)
    found, _, content = server.request("POST", PREDICT, (folder / "third-bad.json").read_bytes())
    assert (found, json.loads(content)["error"]) == (
        415, "image 2, counted from 0: not an image: it looks like text",
    )  # fmt: skip


def pixels_of(images_run, scale, count=1):
    height, width = images_run.preprocessing.height, images_run.preprocessing.width
    draw = np.random.default_rng(0)
    return (draw.random((count, height, width, 3)) * scale).round(3).tolist()


def test_pixels_from_0_to_1_are_rejected(server, images_run):
    reason = "pixels are numbers from 0 to 255, and those here are from 0 to 1: multiply them by 255"
    scaled, right = pixels_of(images_run, 1), pixels_of(images_run, 255)
    black = np.zeros_like(right).tolist()
    for body, expected in (
        (scaled, (400, reason)),
        (right + black + scaled, (400, f"image 2, counted from 0: {reason}")),
        (right + black, (200, None)),
    ):
        found, _, content = server.request("POST", PREDICT, json.dumps({"instances": body}))
        assert (found, json.loads(content).get("error")) == expected
    shape = list(np.shape(scaled))
    tensor = {"name": "pixels", "shape": shape, "datatype": "FP32", "data": np.ravel(scaled).tolist()}
    found, _, content = server.request("POST", INFER, json.dumps({"inputs": [tensor]}))
    assert (found, json.loads(content)["error"]) == (400, reason)


def test_what_is_wrong_with_a_request_is_named_by_its_position(server, images_run, test_files):
    good = {"b64": base64.b64encode(test_files[0].read_bytes()).decode()}
    (pixels,) = pixels_of(images_run, 255)
    height, width = images_run.preprocessing.height, images_run.preprocessing.width
    shape = f'pixels of shape [n, {height}, {width}, 3], or images as {{"b64": "..."}}'
    either = "expected a JSON object with either instances or inputs, and optionally signature_name"
    image = "an image is the key b64 with a text in base64, or the key pixels"
    text = [[[*pixels[0][0][:2], "4"], *pixels[0][1:]], *pixels[1:]]
    for body, error in (
        ({"image": [good]}, f"{either}; found the unknown key 'image'"),
        ({}, f"{either}; found neither"),
        ({"instances": [good], "inputs": [good]}, f"{either}; found both"),
        ({"instances": [good, {"image": good["b64"]}]}, f"image 1, counted from 0: {image}; found the key 'image'"),
        (
            {"instances": [good, pixels]},
            "image 1, counted from 0: expected images in base64 or pixels, and found both in one request",
        ),
        (
            {"instances": [pixels, pixels[1:]]},
            f"image 1, counted from 0: expected {shape}; found [{height - 1}, {width}, 3]",
        ),
        ({"instances": [pixels, 7]}, f"image 1, counted from 0: expected {shape}; found one value"),
        ({"instances": pixels}, f"image 0, counted from 0: expected {shape}; found [{width}, 3]"),
        ({"instances": [pixels, text]}, "image 1, counted from 0: pixels are numbers from 0 to 255; found a text"),
        ({"inputs": good}, 'inputs is a list of images, such as [{"b64": "..."}]; found one image'),
        ({"instances": [{"b64": 3}]}, "an image is a text in base64; found a number"),
    ):
        found, _, content = server.request("POST", PREDICT, json.dumps(body))
        assert (found, json.loads(content)["error"]) == (400, error)


def test_a_wrong_shape_of_a_tensor_is_named(server, images_run):
    (pixels,) = pixels_of(images_run, 255)
    height, width = images_run.preprocessing.height, images_run.preprocessing.width
    tensor = {"name": "pixels", "shape": [1, height, width, 3], "datatype": "FP32", "data": [1, 2, 3]}
    number = f"{height * width * 3:,}"
    for changed, error in (
        (tensor, f"the shape [1, {height}, {width}, 3] has {number} values; found 3"),
        ({**tensor, "shape": [2, height, width, 3], "data": [pixels]}, "the shape is [2"),
        ({**tensor, "shape": [1, 1, 1, 3]}, f"expected pixels of shape [n, {height}, {width}, 3]"),
    ):
        found, _, content = server.request("POST", INFER, json.dumps({"inputs": [changed]}))
        assert found == 400
        assert error in json.loads(content)["error"]


def test_a_program_that_sends_its_whole_body_first_sees_that_it_is_too_large(server):
    request = urllib.request.Request(f"{server.url}/api/models/images/image", bytes(17_000_000), method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 413
    assert "too large" in json.loads(caught.value.read())["error"]


def test_a_bad_text_is_named_by_its_position(server, test_files):
    good = base64.b64encode(test_files[0].read_bytes()).decode()
    body = {"instances": [{"b64": good}, {"b64": "!"}]}
    found, _, content = server.request("POST", PREDICT, json.dumps(body))
    assert (found, json.loads(content)["error"]) == (
        400, "image 1, counted from 0: an image is a text in base64; found other characters, or too few",
    )  # fmt: skip


def test_scripts_of_allowed_pages_only_may_read_responses(images_run):
    page, other = {"Origin": "https://shop.example"}, {"Origin": "https://other.example"}
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization,content-type"}
    with serving(images_run.path, token=TOKEN, origins=["https://shop.example"]) as server:
        status, headers, _ = server.request("OPTIONS", IMAGE, **page, **asked)  # before each request, without the token
        assert status == 200
        assert headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert server.request("OPTIONS", IMAGE, **other, **asked)[0] == 400
        for token, expected in ((f"Bearer {TOKEN}", 200), ("Bearer wrong", 401)):
            status, headers, _ = server.request("GET", "/api/models", **page, Authorization=token)
            assert status == expected
            assert headers["Access-Control-Allow-Origin"] == "https://shop.example"
            _, headers, _ = server.request("GET", "/api/models", **other, Authorization=token)
            assert headers["Access-Control-Allow-Origin"] is None


def test_without_the_option_no_other_page_may_read_responses(server):
    status, headers, _ = server.request("GET", "/api/models", Origin="https://shop.example")
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, None)
