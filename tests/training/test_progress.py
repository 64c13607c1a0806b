"""Progress callbacks: the base class, the list of several, and the argument `progress` of commands."""

import re
from contextlib import contextmanager

import numpy as np
import pytest

import saccade
from saccade.errors import TrainingError
from saccade.sanitize import command_line
from saccade.training.progress import Progress, ProgressList, TerminalProgress, progress_of


@pytest.fixture(scope="module")
def memory_run(tmp_path_factory):
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    out = tmp_path_factory.mktemp("memory") / "run"
    return saccade.train((images, np.arange(40) % 2), recipe="folder", epochs=1, out=out, progress=False)


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


def test_a_long_training_names_the_command_of_a_short_one(tiny_run, capsys):
    TerminalProgress().on_forecast(50 * 60.0, tiny_run)
    first, second = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"time left: about 50 minutes on this machine, until \d\d:\d\d(, or less, .*)?", first)
    assert second == f"for a training of 15 minutes: {command_line('train', tiny_run.data_source, '--minutes', 15)}"


def test_a_short_training_has_its_time_alone(tiny_run, capsys):
    TerminalProgress().on_forecast(14 * 60.0, tiny_run)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("time left: about 14 minutes on this machine, until ")


def test_seconds_have_no_clock_time(tiny_run, capsys):
    TerminalProgress().on_forecast(4.4, tiny_run)
    assert re.fullmatch(
        r"time left: about 4 seconds on this machine(, or less, .*)?", capsys.readouterr().err.removesuffix("\n")
    )


def test_data_in_memory_has_no_command_of_a_shorter_training(memory_run, capsys):
    TerminalProgress().on_forecast(50 * 60.0, memory_run)
    assert "--minutes" not in capsys.readouterr().err
