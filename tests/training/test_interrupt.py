import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager

import pytest

import saccade
from saccade.runs.run import Run

TRAIN = [sys.executable, "-m", "saccade", "train"]


@contextmanager
def started(*arguments):
    process = subprocess.Popen([*TRAIN, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process, start_of_line):
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith(start_of_line):
            return
    pytest.fail(f"the training ended before it said '{start_of_line}': {lines}")


def test_the_first_ctrl_c_saves_a_run_that_can_be_evaluated(tiny_folder, tmp_path):
    out = tmp_path / "run"
    with started(str(tiny_folder), "--recipe", "folder", "--epochs", "5000", "--out", str(out)) as process:
        wait_for(process, "epoch 1/")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "press Ctrl-C again to quit without saving" in stderr
    assert "interrupted on tiny" in stdout
    run = Run.open(out)
    assert run.status().state == "interrupted"
    assert 1 <= run.status().kept_epoch == len(run.history()) < 5000
    assert saccade.evaluate(run).n == 60


def test_the_second_ctrl_c_quits(tiny_folder, tmp_path):
    out = tmp_path / "run"
    # Large pictures make steps, validation and saving long enough for the second signal to come within them.
    large = ["--set", "image_size=256", "--set", "batch_size=100"]
    with started(str(tiny_folder), "--recipe", "folder", "--epochs", "50", *large, "--out", str(out)) as process:
        wait_for(process, "epoch 1/")
        process.send_signal(signal.SIGINT)
        wait_for(process, "stopping after this step")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert not (out / "weights.safetensors").exists()


def test_on_a_terminal_there_is_a_bar_with_rate_and_remaining_time(tiny_folder, tmp_path):
    # Large pictures: the bar is drawn at most ten times a second, so an epoch must last a while.
    large = ["--set", "image_size=64", "--set", "batch_size=2"]
    arguments = [str(tiny_folder), "--recipe", "folder", "--epochs", "1", *large]
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 160, 0, 0))
    process = subprocess.Popen(
        [*TRAIN, *arguments, "--out", str(tmp_path / "run")], stderr=terminal, stdout=subprocess.DEVNULL
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            read = os.read(main, 65536)
        except OSError:
            break
        if not read:
            break
        shown += read
    os.close(main)
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert re.search(r"epoch 1/1.*\d+/108 \[\d+:\d+<\d+:\d+, .*pictures/s, loss \d\.\d+, accuracy \d\.\d+", text)
