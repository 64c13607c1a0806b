"""Ctrl-C in a training on a terminal: output, saved run, and resumption with the same bits."""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

import saccade
from saccade.cli.main import cli
from saccade.runs.run import Run

# Long enough for the signal to come within the training: the first epochs are printed long before the last.
SETTINGS = {"plain_epochs": 25, "batch_size": 27, "checkpoint_seconds": 3600}
COMMAND = [
    "train",
    "--recipe",
    "folder",
    *(part for each in SETTINGS.items() for part in ("--set", "{}={}".format(*each))),
]
# A step waits for a second, so that a signal can come within it.
SLOW = """
import time
from saccade.training.step import TrainingStep
real = TrainingStep.__call__
TrainingStep.__call__ = lambda *arguments: (time.sleep(1), real(*arguments))[1]
from saccade.cli.main import main
main()
"""


@dataclass(frozen=True)
class Stopped:
    """A training that was stopped by one Ctrl-C: run directory, exit code, standard output and terminal output."""

    out: object
    code: int
    stdout: str
    terminal: str


@pytest.fixture(scope="module")
def stopped(tiny_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("stopped") / "run"
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 160, 0, 0))
    command = [sys.executable, "-m", "saccade", *COMMAND, "--out", str(out), str(tiny_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, text=True) as process:
        os.close(terminal)
        shown = b""
        while read := _read(main):
            shown += read
            if b"epoch 1/25: loss" in shown and b"stopping" not in shown:
                process.send_signal(signal.SIGINT)
                shown += _read(main)
        os.close(main)
        stdout, _ = process.communicate(timeout=120)
    return Stopped(out, process.returncode, stdout, shown.decode())


def _read(main):
    try:
        return os.read(main, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.long
def test_a_terminal_shows_a_progress_bar_with_rate_and_remaining_time(stopped):
    bar = r"epoch \d+/25.*\d+/108 \[\d+:\d+<\d+:\d+, .*images/s, loss \d\.\d+, accuracy \d\.\d+"
    assert re.search(bar, stopped.terminal), stopped.terminal


def test_the_first_ctrl_c_saves_a_run_that_can_be_evaluated(stopped):
    assert stopped.code == 130, stopped.terminal
    assert "press Ctrl-C again to quit without saving" in stopped.terminal
    assert "interrupted on tiny" in stopped.stdout
    run = Run.open(stopped.out)
    assert run.status().state == "interrupted"
    assert 1 <= run.status().kept_epoch == len(run.history()) < 25
    assert saccade.evaluate(run).n == 60


@pytest.mark.long
def test_an_interrupted_run_is_resumed_to_the_same_bytes(stopped, tiny_folder, tmp_path):
    whole = saccade.train(tiny_folder, recipe="folder", settings=SETTINGS, out=tmp_path / "whole", progress=False)
    resumed = shutil.copytree(stopped.out, tmp_path / "resumed")
    reported = CliRunner().invoke(cli, ["report", str(resumed)])
    assert reported.exit_code == 0, reported.output
    interrupted = rf"training was interrupted in epoch {len(Run.open(resumed).history())} of 25"
    assert re.search(interrupted, (resumed / "report.html").read_text())
    assert re.search(interrupted, (resumed / "README.md").read_text())
    assert re.search(interrupted, " ".join(json.loads((resumed / "report.json").read_text())["notes"]))
    saccade.evaluate(resumed, split="train")
    result = CliRunner().invoke(cli, ["train", "--resume", str(resumed)])
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines().count("removed: results of the interrupted weights; evaluate again") == 1
    for name in ("weights.safetensors", "history.csv"):
        assert (resumed / name).read_bytes() == (whole.path / name).read_bytes()
    # No result of the interrupted weights is left.
    assert {path.name for path in resumed.iterdir()} == {path.name for path in whole.path.iterdir()}


@pytest.mark.long
def test_the_second_ctrl_c_quits(tiny_folder, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-c", SLOW, "train", str(tiny_folder), "--recipe", "folder", "--set", "batch_size=108"]
    with subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.PIPE, text=True) as process:
        lines = []
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if line.startswith(("epoch 1/", "stopping after this step")):
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130, lines
    assert any("stopping after this step" in line for line in lines)
    assert not any("Traceback" in line for line in lines)
    assert not (out / "weights.safetensors").exists()
