"""Exports of a classifier of photographs in reduced precision, on real photographs of hands."""

import tarfile

import pytest

import saccade

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def run(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    with tarfile.open(shared_data / "sign_digits.tar") as archive:
        archive.extractall(folder, filter="data")
    return saccade.train(folder / "sign_digits", out=folder / "run", progress=False)


@pytest.mark.parametrize("form", ["litert-int8", "litert-float16"])
def test_exports_in_reduced_precision_keep_the_accuracy(run, form, tmp_path):
    """Rounding weights to the nearest of 255 values would cost 15 points."""
    exported = saccade.export(run, format=form, out=tmp_path / "model.tflite")
    data = run.path.parent / "sign_digits"
    accuracy, exact = (saccade.evaluate(model, data=data).accuracy for model in (exported.path, run))
    assert abs(accuracy - exact) < 0.04  # 6 of 155 images
