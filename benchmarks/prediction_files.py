"""How long `saccade predict RUN FOLDER` takes for a folder of pictures, beside decoding and a plain Keras loop.

    .venv/bin/python benchmarks/prediction_files.py RUN FOLDER

Prints medians of whole processes: the command, and a script that decodes the same files one by one with Pillow and
calls `model.predict` of the run's `model.keras`, with their ratio, and how busy the cores were during the command.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 3
PLAIN = """
import sys
from pathlib import Path
import keras, numpy as np
from PIL import Image
files = sorted(path for path in Path(sys.argv[2]).rglob("*") if path.is_file())
model = keras.saving.load_model(Path(sys.argv[1]) / "model.keras", compile=False)
pictures = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
print(len(files), model.predict(pictures, verbose=0).argmax(axis=1).sum())
"""


def timed(command: list[str]) -> tuple[float, float]:
    """Wall-clock seconds and processor seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Times both in turn."""
    run, folder = sys.argv[1:3]
    files = sum(path.is_file() for path in Path(folder).rglob("*"))
    ours, plain = [], []
    for _ in range(RUNS):
        ours.append(timed([sys.executable, "-m", "saccade", "predict", run, folder, "--csv"]))
        plain.append(timed([sys.executable, "-c", PLAIN, run, folder]))
    wall = statistics.median(taken[0] for taken in ours)
    busy = statistics.median(taken[1] / taken[0] for taken in ours) / (os.cpu_count() or 1)
    other = statistics.median(taken[0] for taken in plain)
    print(f"saccade predict, {files:,} files: {wall:.2f} s, {files / wall:,.0f} pictures a second (n = {RUNS})")
    print(f"cores busy: {busy:.0%}")
    print(f"Pillow one by one and model.predict: {other:.2f} s; saccade takes {wall / other:.2f} of that")


if __name__ == "__main__":
    main()
