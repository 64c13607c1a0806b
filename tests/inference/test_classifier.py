"""Choice of the runtime by number and size of the images."""

import pytest

from saccade import onnx_session
from saccade.inference import classifier
from saccade.inference.onnx_model import OnnxModel
from saccade.inference.predictor import Predictor


@pytest.mark.parametrize(
    ("run", "num_images", "has_gpu", "runtime"),
    [
        ("tiny_run", 2000, False, OnnxModel),
        ("tiny_run", 2001, False, Predictor),
        ("probe_run", 10**6, False, OnnxModel),
        ("probe_run", 2000, True, OnnxModel),
        ("probe_run", 2001, True, Predictor),
    ],
)
def test_many_small_images_and_many_images_with_a_gpu_are_for_tensorflow(
    run, num_images, has_gpu, runtime, request, monkeypatch
):
    monkeypatch.setattr(onnx_session, "may_have_gpu", lambda: has_gpu)
    assert isinstance(classifier.load_classifier(request.getfixturevalue(run), num_images), runtime)
