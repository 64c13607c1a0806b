"""Distribution shift between the validation images and the test images of a run."""

from __future__ import annotations

from collections.abc import Iterator

from saccade.evaluation.wilson_interval import wilson_interval
from saccade.runs.predictions import VALIDATION_PREDICTIONS
from saccade.runs.run import Run


def note_on_distribution_shift(run: Run, accuracy: float, interval: tuple[float, float]) -> Iterator[str]:
    """Yield a note if the test accuracy of a run is significantly lower than its validation accuracy.

    The test compares two 95% Wilson intervals: the interval of the test accuracy lies completely below the interval of
    the accuracy on the kept validation predictions. The temperature and the threshold of abstention are fitted on the
    validation predictions, so both are valid only for images of the same distribution. (The accuracy on validation
    images that also chose the weights is slightly too high, so the note comes rather too often than too seldom.)

    Args:
        run: the run. Without kept validation predictions there is no note.
        accuracy: accuracy on the test images of the run's own data, 0 to 1.
        interval: 95% Wilson interval of the accuracy.
    """
    calibration = run.calibration()
    if calibration is None or not (run.path / VALIDATION_PREDICTIONS).is_file():
        return
    predictions = run.predictions(VALIDATION_PREDICTIONS)
    correct, n = int((predictions.probabilities.argmax(axis=1) == predictions.labels).sum()), len(predictions.labels)
    low, high = wilson_interval(correct, n)
    if interval[1] >= low:
        return
    kind = "out-of-fold" if calibration.out_of_fold else "validation"
    yield (
        f"the accuracy on the test images is lower than on the {kind} images: {accuracy:.2%} "
        f"(95% interval {interval[0]:.2%} to {interval[1]:.2%}) against {correct / n:.2%} ({low:.2%} to {high:.2%}); "
        "confidences and the target accuracy of --abstain may not be reliable on images like these"
    )
