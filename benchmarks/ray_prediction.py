"""Rate of `saccade predict --ray` on this machine, relative to the plain command with as many threads.

    python benchmarks/ray_prediction.py MODEL.onnx FOLDER [--workers 1 2] [--repeats 5]

For each number of workers with one thread each, the two commands run in turn on as many cores (Linux: `taskset`):
`saccade predict MODEL FOLDER`, which runs ONNX Runtime on any number of images of an exported file, and the same with
`--ray --workers N --out`. Ray's own processes share the cores. The rate of a command is that of the images after the
first ones: (n - m) / (seconds for all n images - seconds for m images), so that the start counts for neither; the whole
times are printed too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from processes import SACCADE, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.inference.image_inputs import find_images

_FIRST = 64  # images of the commands that measure the start


def main() -> None:
    """Measure, print and save the results."""
    parser = argparse.ArgumentParser(description="Compares predict --ray with the plain command.")
    parser.add_argument("model", metavar="MODEL", help="exported ONNX file")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="images, at any depth")
    parser.add_argument("--workers", type=at_least_one, nargs="+", default=[1, 2], help="numbers of workers")
    parser.add_argument("--repeats", type=at_least_one, default=5)
    add_results_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        results = [
            result
            for workers in options.workers
            for result in measure(options.model, options.folder, workers, options.repeats, Path(temporary))
        ]
    keep_results("ray_prediction", results, options.results)


def measure(model: str, folder: Path, workers: int, repeats: int, temporary: Path) -> list[Result]:
    """Measure both commands in turn on as many cores as workers."""
    images = [str(image) for image in find_images([folder]).images]
    few = images[:_FIRST]
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:workers]))
    prefix = ["taskset", "-c", cores, *SACCADE, "predict", model]
    seconds: dict[str, list[float]] = {"plain": [], "plain first": [], "ray": [], "ray first": []}
    for _ in range(repeats):
        seconds["plain"].append(timed([*prefix, str(folder), "--csv"]).seconds)
        seconds["ray"].append(_on_ray([*prefix, str(folder)], workers, temporary / "out"))
        seconds["plain first"].append(timed([*prefix, *few, "--csv"]).seconds)
        seconds["ray first"].append(_on_ray([*prefix, *few], workers, temporary / "out"))
    n = len(images)
    rates = {
        name: [
            (n - len(few)) / (whole - start)
            for whole, start in zip(seconds[name], seconds[f"{name} first"], strict=True)
        ]
        for name in ("plain", "ray")
    }
    what = f"{n} images, {workers} thread(s)"
    ratios = [ray / plain for ray, plain in zip(rates["ray"], rates["plain"], strict=True)]
    return [
        Result("predict", f"{what}, whole command", "s", seconds["plain"]),
        Result("predict --ray", f"{what}, whole command", "s", seconds["ray"]),
        Result("predict", f"{what}, after the start", "images/s", rates["plain"]),
        Result("predict --ray", f"{what}, after the start", "images/s", rates["ray"]),
        Result("predict --ray / predict", f"{what}, after the start", "ratio", ratios),
    ]


def _on_ray(command: Sequence[str], workers: int, out: Path) -> float:
    """Return the seconds of the command on a Ray of this machine."""
    shutil.rmtree(out, ignore_errors=True)
    return timed([*command, "--out", str(out), "--workers", str(workers), "--ray"]).seconds


if __name__ == "__main__":
    run_program(main)
