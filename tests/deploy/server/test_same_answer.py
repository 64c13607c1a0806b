"""The same picture gets the same answer, or is refused, through predict, the server and every export; odd ones too."""

import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import saccade
from saccade.data.decode import decode
from saccade.deploy.formats import FORMATS
from saccade.deploy.verify import Check, verify
from saccade.inference.open_model import open_model


def assert_same(found, expected):
    """Two lists of predictions: the same pictures refused, the others with the same probabilities."""
    for one, other in zip(found, expected, strict=True):
        assert one.name == other.name
        assert (one.refusal is None) == (other.refusal is None), (one, other)
        assert {best.class_name: best.probability for best in one.top} == pytest.approx(
            {best.class_name: best.probability for best in other.top}, abs=1e-5
        ), one.name


def test_odd_pictures_through_the_server(server, pictures_run, odd_files):
    expected = saccade.predict(pictures_run, odd_files)
    assert sum(one.refusal is None for one in expected) > 100
    assert sum(one.refusal is not None for one in expected) > 20
    assert_same(saccade.Client(server.url).predict(odd_files), expected)


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
