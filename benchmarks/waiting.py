"""What a person waits for besides the training steps: at the beginning and at the end of commands.

    python benchmarks/waiting.py DATA [--recipe NAME] [--repeats 7] [--cold] [--set KEY=VALUE ...]

Runs `saccade train DATA --epochs N`, and with the run `evaluate`, `report`, `predict` with one image and `serve`, each
in a process of its own. Prints the seconds from the start of `train` to the end of its first and of its second
training step, from its last step to the end of the process, and the whole times of the other commands; of `serve` the
seconds until the server responds. With `--cold`, the cache is empty before each training, and the data is decoded.
The programs of `train` are those of the product; `step_clock.py` writes the times of the steps.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.errors import SaccadeError

_CLOCK = Path(__file__).with_name("step_clock.py")
_SECONDS_TO_SERVE = 120.0


def main() -> None:
    """Measure, print and save the results."""
    parser = argparse.ArgumentParser(description="Measures the waiting times of commands.")
    parser.add_argument("data", metavar="DATA", help="a name, or the path of a folder, as for `saccade train`")
    parser.add_argument("--recipe", help="recipe; without it, the default recipe of the data")
    parser.add_argument("--epochs", type=at_least_one, default=1)
    parser.add_argument("--image", type=Path, help="image for `predict`; without it, `predict` is not measured")
    parser.add_argument("--repeats", type=at_least_one, default=7)
    parser.add_argument("--cold", action="store_true", help="empty the cache before each training")
    parser.add_argument("--only-train", action="store_true", help="measure `train` alone")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    add_results_option(parser)
    options = parser.parse_args()
    recipe = [] if options.recipe is None else ["--recipe", options.recipe]
    words = [options.data, *recipe, "--epochs", str(options.epochs), *(f"--set={each}" for each in options.settings)]
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SACCADE_CACHE"] = str(Path(folder) / "cache")
        if not options.cold:
            _train(words, Path(folder))
        for _ in range(options.repeats):
            if options.cold:
                shutil.rmtree(Path(folder) / "cache", ignore_errors=True)
            measured = _train(words, Path(folder))
            if not options.only_train:
                measured |= _others(Path(folder) / "run", options.image)
            for name, value in measured.items():
                seconds.setdefault(name, []).append(value)
    what = f"{Path(options.data).name}, {options.recipe or 'default recipe'}, {'cold' if options.cold else 'cached'}"
    results = [Result(what, name, "s", values) for name, values in seconds.items()]
    keep_results("waiting", results, options.results)


def _train(words: Sequence[str], folder: Path) -> dict[str, float]:
    """Train, and return the seconds of the waits."""
    run, times = folder / "run", folder / "times"
    shutil.rmtree(run, ignore_errors=True)
    times.unlink(missing_ok=True)
    began = time.time()
    subprocess.run(
        [sys.executable, str(_CLOCK), str(times), "train", *words, "--out", str(run)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    ended = time.time()
    steps = [float(line) for line in times.read_text().split()] if times.exists() else []
    if len(steps) < 2:
        return {"train, whole command": ended - began}
    return {
        "train, to the first step": steps[0] - began,
        "train, to the second step": steps[1] - began,
        "train, from the last step to the end": ended - steps[-1],
        "train, whole command": ended - began,
    }


def _others(run: Path, image: Path | None) -> dict[str, float]:
    """Return the seconds of the commands on a run."""
    measured = {"evaluate": timed([*SACCADE, "evaluate", str(run), "--json"]).seconds}
    measured["report, evaluated"] = timed([*SACCADE, "report", str(run)]).seconds
    if image is not None:
        measured["predict, one image"] = timed([*SACCADE, "predict", str(run), str(image), "--json"]).seconds
    measured["serve, to ready"] = _served(run)
    return measured


def _served(run: Path) -> float:
    """Return the seconds until the server responds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    with subprocess.Popen(
        [*SACCADE, "serve", str(run), "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            while time.perf_counter() - began < _SECONDS_TO_SERVE:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=1):
                        return time.perf_counter() - began
                except OSError:
                    time.sleep(0.01)
        finally:
            server.terminate()
    raise SaccadeError(f"the server did not respond within {_SECONDS_TO_SERVE:g} s")


if __name__ == "__main__":
    run_program(main)
