"""Every way to hand an image to `predict` and to a server gives the same probabilities."""

import base64
import io
import json

import datasets as hugging_face
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.deploy.server.serving import serving

import saccade
from saccade.errors import DataError


@pytest.fixture(scope="module")
def files(noisy_digits):
    """A hundred images: lossless, so that no decoder reduces them."""
    return sorted(noisy_digits.rglob("*.png"))[:100]


@pytest.fixture(scope="module")
def expected(images_run, files):
    return rows_of(saccade.predict(images_run, files))


def rows_of(predictions):
    return np.array(
        [[found.probability for found in sorted(one.top, key=lambda each: each.class_name)] for one in predictions]
    )


def test_every_way_gives_the_same_probabilities(images_run, files, expected):
    arrays = [np.asarray(Image.open(file)) for file in files]
    ways = {
        "text": [str(file) for file in files],
        "Pillow": [Image.open(file) for file in files],
        "arrays": arrays,
        "one array": np.stack(arrays),
        "one array of colors": np.repeat(np.stack(arrays)[..., None], 3, axis=3),
        "floats": np.stack(arrays) / 255,
        "bytes": [file.read_bytes() for file in files],
        "open files": [file.open("rb") for file in files],
        "streams": [io.BytesIO(file.read_bytes()) for file in files],
        "a column": pd.DataFrame({"image": files})["image"],
        "a data frame": pd.DataFrame({"shot": range(100), "image": files}),
        "a data frame of arrays": pd.DataFrame({"image": arrays}),
        "Hugging Face": hugging_face.Dataset.from_dict(
            {"image": [{"bytes": file.read_bytes(), "path": None} for file in files]},
            features=hugging_face.Features({"image": hugging_face.Image()}),
        ),
    }
    for way, images in ways.items():
        predictions = saccade.predict(images_run, images)
        np.testing.assert_allclose(rows_of(predictions), expected, atol=1e-6, err_msg=way)
    for stream in ways["open files"]:
        stream.close()
    mixed = [kind[position] for position, kind in enumerate(list(ways.values())[k % 4] for k in range(100))]
    np.testing.assert_allclose(rows_of(saccade.predict(images_run, mixed)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (pd.DataFrame({"shot": ["a.png"]}), "the columns 'shot'"),
        (pd.DataFrame({"image": ["a.png", None]}), "none in row 2"),
        (hugging_face.DatasetDict({"test": hugging_face.Dataset.from_dict({"image": ["a.png"]})}), "'test'"),
    ],
)
def test_rows_without_an_image(images_run, rows, found):
    with pytest.raises(DataError) as caught:
        saccade.predict(images_run, rows)
    assert caught.value.found == found


def test_one_image_alone(images_run, files, expected):
    for image in (
        Image.open(files[0]),
        files[0].read_bytes(),
        np.asarray(Image.open(files[0])),
        io.BytesIO(files[0].read_bytes()),
    ):
        np.testing.assert_allclose(rows_of(saccade.predict(images_run, image)), expected[:1], atol=1e-6)


def test_names_of_predictions(images_run, files):
    image, stream = Image.open(files[0]), files[1].open("rb")
    predictions = saccade.predict(images_run, [image, stream, files[2].read_bytes(), np.asarray(image), str(files[3])])
    assert [one.name for one in predictions] == [str(files[0]), str(files[1]), "image 2", "image 3", str(files[3])]
    stream.close()


def test_every_way_over_the_wire(images_run, files, expected):
    with serving(images_run.path) as server:
        client = saccade.Client(server.url)
        arrays = [np.asarray(Image.open(file)) for file in files]
        frame = pd.DataFrame({"image": files})
        for images in (
            files,
            frame,
            arrays,
            [Image.open(file) for file in files],
            [file.read_bytes() for file in files],
        ):
            np.testing.assert_allclose(rows_of(client.predict(images)), expected, atol=1e-5)
        texts = [base64.b64encode(file.read_bytes()).decode() for file in files]
        for form in ("{}", "data:image/png;base64,{}"):
            body = {"instances": [{"b64": form.format(text)} for text in texts]}
            np.testing.assert_allclose(
                server.json("POST", "/v1/models/images:predict", body)["predictions"], expected, atol=1e-5
            )
        for file, row in zip(files[:20], expected[:20], strict=True):
            parts = (
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
                + file.read_bytes()
                + b"\r\n--b--\r\n"
            )
            shown = server.json(
                "POST", "/api/models/images/image", parts, Content_Type="multipart/form-data; boundary=b"
            )
            found = {one["class_name"]: one["probability"] for one in shown["classes"]}
            np.testing.assert_allclose([found[name] for name in sorted(found)], row, atol=1e-5)


def test_unreadable_contents_have_a_reason(images_run, files):
    damaged = files[0].read_bytes()[:100]
    first, second = saccade.predict(images_run, [damaged, b"text"])
    assert (first.name, first.unreadable_reason) == ("image 0", "truncated PNG")
    assert second.unreadable_reason == "not an image: it looks like text"


def test_images_of_one_call_have_one_range(images_run, files):
    image = np.asarray(Image.open(files[0]), np.float64)
    black = np.zeros_like(image)
    together = rows_of(saccade.predict(images_run, np.stack([black, image])))
    np.testing.assert_allclose(
        together, rows_of(saccade.predict(images_run, [black.astype(np.uint8), image.astype(np.uint8)]))
    )
    with pytest.raises(DataError, match="in two ranges") as caught:
        saccade.predict(images_run, [image, image / 255])
    assert "values from 0 to 1 in image 1" in str(caught.value.found)


def test_whole_numbers_of_0_and_1_are_not_read_as_black(images_run, files):
    mask = np.asarray(Image.open(files[0])) > 100
    expected = rows_of(saccade.predict(images_run, mask))
    np.testing.assert_allclose(rows_of(saccade.predict(images_run, mask * 255)), expected)
    for kind in (np.uint8, np.int64, np.uint16):
        with pytest.raises(DataError, match="would be black"):
            saccade.predict(images_run, mask.astype(kind))


def test_16_bits_with_values_up_to_255_are_eight_bits(images_run, files):
    image = np.asarray(Image.open(files[0]))
    expected = rows_of(saccade.predict(images_run, image))
    np.testing.assert_allclose(rows_of(saccade.predict(images_run, image.astype(np.uint16))), expected)


def test_an_opened_photograph_is_its_file(probe_run, photo_folder, tmp_path):
    large = tmp_path / "large.jpg"
    Image.open(next(photo_folder.rglob("*.jpg"))).resize((1200, 1200)).save(large, quality=90)
    with Image.open(large) as opened:
        found = rows_of(saccade.predict(probe_run, [large, opened, large.read_bytes()]))
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


def test_a_split_is_images_and_a_dataset_is_not(images_run, files):
    dataset = saccade.load((np.stack([np.asarray(Image.open(file)) for file in files]), [0, 1] * 50))
    split = dataset["test"]
    predictions = saccade.predict(images_run, split)
    np.testing.assert_allclose(rows_of(predictions), rows_of(saccade.predict(images_run, split.to_numpy()[0])))
    with pytest.raises(DataError, match="has several splits"):
        saccade.predict(images_run, dataset)


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (["a.png", None], "image 1 is no image"),
        (None, "this is no image"),
        ("https://example.org/cat.jpg", "this is an address, and nothing is downloaded"),
        (np.array(3), "an array is no images"),
        (np.arange(10), "an array is no images"),
        (np.zeros((32, 31, 5), np.uint8), "an array is no images"),
        (np.zeros((2, 32, 32, 32, 3)), "an array is no images"),
    ],
)
def test_what_is_wrong_is_named(images_run, images, problem):
    with pytest.raises(DataError, match=problem):
        saccade.predict(images_run, images)


def test_a_file_that_was_read_to_its_end(images_run, files):
    stream = io.BytesIO(files[0].read_bytes())
    stream.read()
    with pytest.raises(DataError, match="was read to its end"):
        saccade.predict(images_run, stream)


WRONG = {
    "a number": 3.5,
    "nothing": None,
    "a list of numbers": [1, 2],
    "an object": object(),
    "a dictionary": {"a": 1},
    "negative pixels": np.full((32, 32), -1.0),
    "pixels above 255": np.full((32, 32, 3), 256),
    "not a number": np.full((32, 32, 3), np.nan),
    "two channels": np.zeros((32, 32, 2)),
    "five axes": np.zeros((1, 1, 32, 32, 3)),
    "one axis": np.zeros(32),
    "channels first": np.zeros((3, 32, 32)),
    "a file opened as text": "TEXT",
    "a closed image": "CLOSED",
    "an empty image": np.zeros((0, 32, 3)),
    "texts in an array": np.zeros((32, 32), "U3"),
    "complex pixels": np.zeros((32, 32), complex),
    "a file opened for text": io.StringIO("text"),
    "an empty path": "",
    "a folder without images": "EMPTY",
    "a glob without images": "EMPTY/*.png",
    "an image of no data": "nothing:test:0",
    "a nested list": [["a.png"]],
}


@pytest.fixture
def opened_as_text(tmp_path):
    (tmp_path / "text.png").write_bytes(b"\x89PNG\xff")
    with (tmp_path / "text.png").open(encoding="utf-8") as stream:
        yield [stream]


@pytest.mark.parametrize("images", WRONG.values(), ids=WRONG)
def test_wrong_images_are_one_plain_error(images_run, images, tmp_path, request):
    (tmp_path / "EMPTY").mkdir()
    if isinstance(images, str) and images == "TEXT":
        images = request.getfixturevalue("opened_as_text")
    elif isinstance(images, str) and images == "CLOSED":
        images = Image.new("RGB", (8, 8))
        images.close()
    if isinstance(images, str) and "EMPTY" in images:
        images = images.replace("EMPTY", str(tmp_path / "EMPTY"))
    with pytest.raises(DataError) as caught:
        saccade.predict(images_run, images)
    assert len(str(caught.value)) < 600
    assert json.dumps(caught.value.problem)
