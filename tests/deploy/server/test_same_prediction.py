"""The same picture gets the same answer, or is refused, through predict, the server and every export; odd ones too."""

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
from saccade.deploy.verify import Check, verify
from saccade.inference.load_model import open_model


def assert_same(found, expected):
    """Two lists of predictions: the same pictures refused, the others with the same probabilities."""
    for one, other in zip(found, expected, strict=True):
        assert one.name == other.name
        assert (one.refusal is None) == (other.refusal is None), (one, other)
        assert {best.class_name: best.probability for best in one.top} == pytest.approx(
            {best.class_name: best.probability for best in other.top}, abs=1e-5
        ), one.name


def refusals_in_the_table(files):
    """Of each odd picture, what the table of odd pictures states: the beginning of the reason, or None."""
    with (Path(__file__).parents[2] / "data" / "odd_images.csv").open(newline="") as stream:
        rows = {row["path"]: row["detail"] if row["outcome"] == "refused" else None for row in csv.DictReader(stream)}
    return [rows[path.as_posix().partition("odd-images/")[2]] for path in files]


def beginning(refusal):
    return None if refusal is None else refusal.removeprefix("not a picture: ").split(":")[0]


def test_odd_and_transparent_pictures_through_predict_and_the_server(
    server, pictures_run, odd_files, field_cases, tmp_path
):
    """Both refuse what the table refuses, and see of every other picture what Pillow makes of it over white."""
    transparent = [path for path in sorted((field_cases / "transparent").rglob("*")) if path.is_file()]
    files, refusals = [*odd_files, *transparent], [*refusals_in_the_table(odd_files), *[None] * len(transparent)]
    composites = {}
    for number, (file, refusal) in enumerate(zip(files, refusals, strict=True)):
        # The decoder of JPEG halves large pictures before they are resized, but not the composite, which is a PNG.
        if refusal is None and file.stat().st_size < 100_000:
            composites[file] = write(tmp_path / f"{number:03}.png", encode(over_white(file.read_bytes()), "PNG"))
    answered = saccade.predict(pictures_run, [*files, *composites.values()])
    expected, of_composites = answered[: len(files)], answered[len(files) :]
    assert [beginning(one.refusal) for one in expected] == refusals
    seen = [replace(one, name="") for file, one in zip(files, expected, strict=True) if file in composites]
    assert len(seen) > 200
    assert_same(seen, [replace(one, name="") for one in of_composites])
    served = saccade.Client(server.url).predict(files)
    assert [beginning(one.refusal) for one in served] == refusals
    assert_same(served, expected)


@pytest.mark.nightly
def test_a_thousand_pictures_through_everything(server, pictures_run, odd_files, shared_data, tmp_path):
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
    expected = saccade.predict(pictures_run, files)
    readable = [file for file, one in zip(files, expected, strict=True) if one.refusal is None]
    assert_same(saccade.Client(server.url).predict(files), expected)
    pixels = np.stack([decode(file.read_bytes(), pictures_run.rule).pixels for file in readable])
    by_name = [{best.class_name: best.probability for best in one.top} for one in expected if one.refusal is None]
    probabilities = np.array([[row[name] for name in pictures_run.class_names] for row in by_name], np.float32)
    check = Check(pixels, probabilities, "odd and usual", None)
    for form, facts in FORMATS.items():
        exported = saccade.export(pictures_run, format=form, out=tmp_path / f"model-{form}{facts.suffix}").path
        if facts.tolerance is None:  # promises accuracy alone, which the export has checked
            answers = saccade.predict(open_model(exported), readable, top=1)
            classes = [pictures_run.class_names[best] for best in probabilities.argmax(axis=1)]
            same = float(np.mean([one.top[0].class_name == name for one, name in zip(answers, classes, strict=True)]))
            assert same > 0.95
        else:
            same = verify(form, exported, check).same_class
        if form in ("onnx", "litert"):
            assert_same(saccade.predict(open_model(exported), files), expected)
        sys.stdout.write(f"{form}: {len(readable)} of {len(files)} pictures readable, same class {same:.2%}\n")
