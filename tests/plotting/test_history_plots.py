import pytest
from PIL import Image

from saccade.plotting.history_plots import draw_history, history_plot
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
        [record(1, "head", validation=None)],
        [record(1, "plain", validation=None), record(2, "augmented", validation=None)],
        [record(epoch, "augmented", rate=0.1**epoch) for epoch in range(1, 8)],
    ],
)
def test_any_history_is_plotted_without_a_warning(history, tmp_path):
    draw_history(history, tmp_path / "history.png", title="photos $50, quick")
    with Image.open(tmp_path / "history.png") as image:
        assert image.width > 1000
        assert len(image.convert("RGB").getcolors(maxcolors=100_000) or []) > 50


@pytest.mark.parametrize(("validation", "bars"), [(0.25, 2), (None, 1)])
def test_a_single_epoch_is_plotted_as_bars_with_their_numbers(validation, bars):
    loss, accuracy = history_plot([record(1, "head", validation=validation)]).axes
    for axes, numbers in ((loss, ["1.0000", "0.2500"]), (accuracy, ["50.00%", "25.00%"])):
        assert not axes.lines
        assert len(axes.patches) == bars
        labels = [label.get_text() for label in axes.get_yticklabels()]
        names = ["training (as seen)", "validation"]
        assert labels == [f"{name}\n{number}" for name, number in zip(names, numbers, strict=True)][:bars]
    loss, accuracy = history_plot([record(1, "head"), record(2, "plain")]).axes
    assert accuracy.lines
