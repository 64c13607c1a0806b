"""Recipe `photo`: a linear head, then fine-tuning on kept outputs, trained on photographs of clothing."""

import numpy as np
import pytest

import saccade
from saccade.inference.predictor import Predictor
from saccade.models.ood_statistics import OodStatistics
from saccade.runs.predictions import VALIDATION_PREDICTIONS
from saccade.runs.run_split import load_run_split

# Where validation images choose nothing, the calibrated predictions are those of one network.
SETTINGS = {"validation_split": 0.3, "augmented_versions": 1, "keep": "last"}


# tests/commands trains this recipe in each test run.
pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=[1.0, 0.6])
def run(photographs, tmp_path_factory, request):
    """A run whose network sees the images at their size, and one whose network sees them smaller."""
    settings = SETTINGS | {"initial_scale": request.param, "final_scale": request.param}
    out = tmp_path_factory.mktemp("photo") / "run"
    return saccade.train(photographs, recipe="photo", settings=settings, out=out, epochs=4, progress=False)


def test_the_network_is_fine_tuned_and_classifies_photographs(run):
    assert [record.phase for record in run.history()] == ["head", "augmented", "augmented", "augmented"]
    # All of 12 correct. Random predictions have 9 of 12 correct with a probability of 1 in 250.
    assert saccade.evaluate(run).accuracy > 0.7


def test_the_calibrated_predictions_from_kept_outputs_are_those_of_the_saved_model(run):
    """Kept outputs have 16 bits."""
    kept = run.predictions(VALIDATION_PREDICTIONS)
    found = Predictor.from_run(run).probabilities_of(load_run_split(run, "validation").splits["validation"])
    np.testing.assert_allclose(kept.probabilities, found, atol=5e-3)


def test_the_ood_statistics_are_those_of_the_saved_model(run):
    """The mean over training images, which the run holds, is that of the whole network."""
    images = load_run_split(run, "train").splits["train"]
    model = Predictor.from_run(run).model
    expected = OodStatistics(model, run.recipe.network)(images).mean(axis=0)
    found = run.ood_statistics()["mean"]
    assert np.corrcoef(expected, found)[0, 1] > 0.9999
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())
