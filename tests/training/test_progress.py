"""Progress callbacks: the base class, the list of several, and the argument `progress` of commands."""

from contextlib import contextmanager

import pytest

from saccade.errors import TrainingError
from saccade.training.progress import Progress, ProgressList, TerminalProgress, progress_of


class Recorder(Progress):
    """Records calls, and the advances of stages."""

    def __init__(self, name, calls):
        self.name, self.calls = name, calls

    def on_plan(self, text):
        self.calls.append((self.name, text))

    @contextmanager
    def on_stage(self, label, *, total, unit):
        self.calls.append((self.name, f"{label}: {total} {unit}"))
        yield self
        self.calls.append((self.name, "end"))

    def update(self, n):
        self.calls.append((self.name, n))


def test_a_list_calls_all_callbacks_in_order():
    calls: list[tuple[str, object]] = []
    several = ProgressList(Recorder("a", calls), Progress(), Recorder("b", calls))
    several.on_plan("plan")
    with several.on_stage("features", total=5, unit="images") as counter:
        counter.update(2)
    assert calls == [
        *[("a", "plan"), ("b", "plan")],
        *[("a", "features: 5 images"), ("b", "features: 5 images")],
        *[("a", 2), ("b", 2)],
        *[("b", "end"), ("a", "end")],
    ]


def test_a_list_forwards_every_callback():
    callbacks = {name for name in vars(Progress) if name.startswith("on_")}
    assert callbacks
    assert callbacks <= vars(ProgressList).keys()


def test_without_progress_warnings_are_python_warnings():
    with pytest.warns(UserWarning, match="the disk is full"):
        progress_of(False).on_warning("the disk is full")


def test_the_argument_progress_is_a_bool_or_callbacks():
    assert isinstance(progress_of(True), TerminalProgress)
    callbacks = Progress()
    assert progress_of(callbacks) is callbacks
    with pytest.raises(TrainingError, match="`progress` of a training has the wrong type") as caught:
        progress_of("yes")  # type: ignore[arg-type]
    assert "saccade.training.progress.Progress" in str(caught.value.expected)
