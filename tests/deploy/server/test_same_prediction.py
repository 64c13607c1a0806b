"""Equal predictions, or equal unreadable images, by predict, the server and every export; with odd images."""

import csv
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.data.images import encode, over_white, write

import saccade
from saccade.data.decoding.decode import decode
from saccade.deploy.formats import FORMATS
from saccade.deploy.verify import Reference, verify
from saccade.inference.load_model import load_model


def assert_same(found, expected):
    """Require the same unreadable images, and the same probabilities of the other images."""
    for one, other in zip(found, expected, strict=True):
        assert one.name == other.name
        assert (one.unreadable_reason is None) == (other.unreadable_reason is None), (one, other)
        assert {best.class_name: best.probability for best in one.top} == pytest.approx(
            {best.class_name: best.probability for best in other.top}, abs=1e-5
        ), one.name


def expected_reasons(files):
    """Return the beginning of the reason, or None, that the table of odd images gives for each image."""
    with (Path(__file__).parents[2] / "data" / "odd_images.csv").open(newline="") as stream:
        rows = {
            row["path"]: row["detail"] if row["outcome"] == "unreadable" else None for row in csv.DictReader(stream)
        }
    return [rows[path.as_posix().partition("odd-images/")[2]] for path in files]


def reason_prefix(reason):
    return None if reason is None else reason.removeprefix("not an image: ").split(":")[0]


def test_odd_and_transparent_images_by_predict_and_by_the_server(server, images_run, odd_files, field_cases, tmp_path):
    """Unreadable images are those of the table; transparent images are predicted like Pillow's composite over white."""
    transparent = [path for path in sorted((field_cases / "transparent").rglob("*")) if path.is_file()]
    files, reasons = [*odd_files, *transparent], [*expected_reasons(odd_files), *[None] * len(transparent)]
    composites = {}
    for number, (file, reason) in enumerate(zip(files, reasons, strict=True)):
        # Large files are left out: the JPEG decoder scales them down before resizing, but not their composite, a PNG.
        if reason is None and file.stat().st_size < 100_000:
            composites[file] = write(tmp_path / f"{number:03}.png", encode(over_white(file.read_bytes()), "PNG"))
    predicted = saccade.predict(images_run, [*files, *composites.values()])
    expected, of_composites = predicted[: len(files)], predicted[len(files) :]
    assert [reason_prefix(one.unreadable_reason) for one in expected] == reasons
    seen = [replace(one, name="") for file, one in zip(files, expected, strict=True) if file in composites]
    assert len(seen) > 200
    assert_same(seen, [replace(one, name="") for one in of_composites])
    served = saccade.Client(server.url).predict(files)
    assert [reason_prefix(one.unreadable_reason) for one in served] == reasons
    assert_same(served, expected)


@pytest.mark.nightly
def test_a_thousand_images_by_predict_the_server_and_every_export(server, images_run, odd_files, shared_data, tmp_path):
    with tarfile.open(shared_data / "cifar10-jpeg.tar.xz") as archive:
        members = (member for member in archive if member.isfile() and member.name.endswith(".jpg"))
        usual: list[Path] = []
        for member in members:
            if len(usual) + len(odd_files) == 1_000:
                break
            contents = archive.extractfile(member)
            assert contents is not None
            usual.append(tmp_path / f"{len(usual):04}.jpg")
            usual[-1].write_bytes(contents.read())
    files = [*odd_files, *usual]
    assert len(files) == 1_000
    expected = saccade.predict(images_run, files)
    readable = [file for file, one in zip(files, expected, strict=True) if one.unreadable_reason is None]
    assert_same(saccade.Client(server.url).predict(files), expected)
    pixels = np.stack([decode(file.read_bytes(), images_run.preprocessing).pixels for file in readable])
    by_name = [
        {best.class_name: best.probability for best in one.top} for one in expected if one.unreadable_reason is None
    ]
    probabilities = np.array([[row[name] for name in images_run.class_names] for row in by_name], np.float32)
    check = Reference(pixels, probabilities, "odd and usual", None)
    for form, export_format in FORMATS.items():
        exported = saccade.export(images_run, format=form, out=tmp_path / f"model-{form}{export_format.suffix}").path
        if export_format.tolerance is None:  # this format is compared by accuracy alone, which `export` has verified
            predictions = saccade.predict(load_model(exported), readable, top=1)
            classes = [images_run.class_names[best] for best in probabilities.argmax(axis=1)]
            same = float(
                np.mean([one.top[0].class_name == name for one, name in zip(predictions, classes, strict=True)])
            )
            assert same > 0.95
        else:
            same = verify(form, exported, check).same_class
        if form in ("onnx", "litert"):
            assert_same(saccade.predict(load_model(exported), files), expected)
        sys.stdout.write(f"{form}: {len(readable)} of {len(files)} images readable, same class {same:.2%}\n")
