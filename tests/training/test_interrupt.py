import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from saccade.runs.run import Run

TRAIN = [sys.executable, "-m", "saccade", "train"]


def start(arguments, **options):
    return subprocess.Popen([*TRAIN, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def wait_for_first_epoch(process):
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("epoch 1/"):
            return
    pytest.fail(f"the training ended before its first epoch did: {lines}")


def test_the_first_ctrl_c_saves_a_run_that_can_be_evaluated(tiny_folder, tmp_path):
    out = tmp_path / "run"
    process = start([str(tiny_folder), "--recipe", "folder", "--epochs", "5000", "--out", str(out)])
    wait_for_first_epoch(process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopping after this step" in stderr
    assert "interrupted on tiny" in stdout
    run = Run.open(out)
    assert run.status().state == "interrupted"
    assert 1 <= run.status().kept_epoch == len(run.history()) < 5000
    evaluated = subprocess.run(
        [sys.executable, "-m", "saccade", "evaluate", str(out)], capture_output=True, text=True, check=False
    )
    assert evaluated.returncode == 0, evaluated.stderr


def test_the_second_ctrl_c_quits(tiny_folder, tmp_path):
    out = tmp_path / "run"
    # Large pictures make steps long enough for the second signal to come within one.
    arguments = ["--recipe", "folder", "--epochs", "50", "--set", "image_size=384", "--set", "batch_size=100"]
    process = start([str(tiny_folder), *arguments, "--out", str(out)])
    wait_for_first_epoch(process)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in stderr


def test_on_a_terminal_there_is_a_bar_with_rate_and_remaining_time(tiny_folder, tmp_path):
    arguments = [str(tiny_folder), "--recipe", "folder", "--epochs", "2", "--set", "batch_size=4"]
    main, terminal = pty.openpty()
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
    assert re.search(r"epoch 1/2.*\d+/108 \[\d+:\d+<\d+:\d+, .*pictures/s, loss \d\.\d+, accuracy \d\.\d+", text)
