import pytest
from PIL import Image

from saccade.plotting.history_plots import draw_history
from saccade.runs.records import EpochRecord


def record(epoch, phase, *, rate=0.001, validation=0.5):
    return EpochRecord(
        epoch=epoch,
        phase=phase,
        steps=3,
        learning_rate=rate,
        loss=1 / epoch,
        accuracy=1 - 1 / (epoch + 1),
        validation_loss=validation,
        validation_accuracy=validation,
    )


@pytest.mark.parametrize(
    "history",
    [
        [record(1, "plain")],
        [record(1, "augmented")],
        [record(1, "plain", validation=None), record(2, "augmented", validation=None)],
        [record(epoch, "augmented", rate=0.1**epoch) for epoch in range(1, 8)],
    ],
)
def test_any_history_is_plotted_without_a_warning(history, tmp_path):
    draw_history(history, tmp_path / "history.png", title="photos $50, quick")
    with Image.open(tmp_path / "history.png") as image:
        assert image.width > 1000
        assert len(image.convert("RGB").getcolors(maxcolors=100_000) or []) > 50
