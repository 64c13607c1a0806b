"""Distribution shift between validation and test images: where a run's confidence and promises may not hold."""

from __future__ import annotations

from collections.abc import Iterator

from saccade.evaluation.metrics import wilson_interval
from saccade.runs.predictions import VALIDATION_PREDICTIONS
from saccade.runs.run import Run


def note_on_unlike_images(run: Run, accuracy: float, interval: tuple[float, float]) -> Iterator[str]:
    """A sentence, if a run is worse on the test images of its data than chance explains by its validation images.

    That is where the 95% Wilson interval of the test accuracy lies wholly below that of the kept validation
    predictions. These are what temperature and abstention were fitted on, so that both hold for images like them.
    (The accuracy on validation images that chose the weights as well is a little too high: the note comes rather too
    early than too late.)

    Args:
        run: the run; without kept validation predictions there is no note.
        accuracy: on the test images of the run's own data, 0 to 1.
        interval: of that accuracy, the 95% Wilson interval.
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
        f"the test images are harder than the {kind} images, or unlike them: accuracy {accuracy:.2%} "
        f"(95% interval {interval[0]:.2%} to {interval[1]:.2%}) against {correct / n:.2%} ({low:.2%} to {high:.2%}); "
        "confidence and the promises of --abstain may not hold on images like these"
    )
