"""Prediction speed relative to the convolutions alone, and processor utilization of the whole command.

    python benchmarks/prediction.py RUN FOLDER [--images 10000] [--repeats 5]

Two measurements with RUN's network, with one view per image:

- Images in memory (the images of FOLDER, repeated up to the given number) through Saccade's predictor with TensorFlow,
  compared with the convolutions and dense layers of RUN's network alone: forward, float32, with equal batches; and
  with RUN's `model.onnx` in ONNX Runtime.
- `saccade predict RUN FOLDER`, the whole command from files to predictions: its time, the utilization of the cores, and
  the ratio to the time of a plain script that decodes the files one by one with Pillow and calls `model.predict` of
  RUN's `model.keras`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from convolutions import forward_pass, products_of, seconds_in_turn
from numpy.typing import NDArray
from processes import SACCADE, Finished, at_least_one, run_program, timed
from results import Result, add_results_option, keep_results

from saccade.data.decoding.decode_files import decode_files
from saccade.errors import DataError
from saccade.inference.onnx_model import load_inference_onnx
from saccade.inference.predictor import Predictor
from saccade.machine import usable_cores
from saccade.models.batched_inference import batch_slices
from saccade.runs.run import Run

PLAIN = """
import sys
from pathlib import Path
import keras, numpy as np
from PIL import Image
files = sorted(path for path in Path(sys.argv[2]).rglob("*") if path.is_file())
model = keras.saving.load_model(Path(sys.argv[1]) / "model.keras", compile=False)
size = model.input_shape[2:0:-1]
images = np.stack([np.asarray(Image.open(file).convert("RGB").resize(size)) for file in files])
print(len(files), model.predict(images, verbose=0).argmax(axis=1).sum())
"""


def main() -> None:
    """Measure both, print and save the results."""
    parser = argparse.ArgumentParser(description="Compares prediction with its convolutions alone; times it on files.")
    parser.add_argument("run", metavar="RUN", help="a run directory")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="images, at any depth")
    parser.add_argument("--images", type=at_least_one, default=10_000, help="number of images to predict from memory")
    parser.add_argument("--repeats", type=at_least_one, default=5)
    add_results_option(parser)
    options = parser.parse_args()
    run = Run.open(options.run)
    files = sorted(path for path in options.folder.rglob("*") if path.is_file())
    results = [
        *from_memory(run, images_of(run, files, options.images), options.repeats),
        *from_files(run, options.folder, len(files), options.repeats),
    ]
    keep_results("prediction", results, options.results)


def images_of(run: Run, files: list[Path], n: int) -> NDArray[np.uint8]:
    """Decode the files with the run's preprocessing, repeated up to n images: uint8 [n, height, width, 3]."""
    chunks = []
    for chunk in decode_files(files[:n], run.preprocessing):
        readable = np.array([reason is None for reason in chunk.reasons], bool)
        chunks.append(chunk.pixels[readable])
    images = np.concatenate(chunks) if chunks else np.empty(0)
    if not len(images):
        raise DataError("there is no readable image in the folder")
    return np.asarray(images[np.arange(n) % len(images)])


def from_memory(run: Run, images: NDArray[np.uint8], repeats: int) -> list[Result]:
    """Measure the seconds for all images: TensorFlow, its convolutions alone and ONNX Runtime in turn; and ratios."""
    height, width = run.preprocessing.height, run.preprocessing.width
    predictor = Predictor.from_run(run, tta_views=1)
    steps = batch_slices(len(images), height, width)
    batch = steps[0].stop
    # The products of the predictor's model, whose network may have a smaller input size than the images.
    one_batch = forward_pass(products_of(predictor.model), batch, "float32")
    works = [lambda: predictor.probabilities(images), lambda: [one_batch() for _ in steps]]
    onnx_model = load_inference_onnx(run) if run.recipe.tta_views == 1 else None
    if onnx_model is not None:
        works.append(lambda: onnx_model.probabilities(images))
    predicted, convolved, *by_onnx = seconds_in_turn(works, repeats)
    # The last batch of the images may be smaller than the others.
    convolved = [seconds * len(images) / (batch * len(steps)) for seconds in convolved]
    what, note = f"{len(images)} images from memory", f"one view, float32, batches of {batch}"
    ratios = [ours / alone for ours, alone in zip(predicted, convolved, strict=True)]
    of_onnx = [seconds / other for times in by_onnx for seconds, other in zip(times, predicted, strict=True)]
    return [
        *([Result(f"{run.recipe.name}, ONNX Runtime / TensorFlow", what, "ratio", of_onnx)] if of_onnx else []),
        Result(run.recipe.name, what, "s", predicted, note),
        Result(f"{run.recipe.name}, convolutions alone", what, "s", convolved, note),
        Result(f"{run.recipe.name} / convolutions alone", what, "ratio", ratios, note),
    ]


def from_files(run: Run, folder: Path, files: int, repeats: int) -> list[Result]:
    """Measure whole processes from files to predictions, Saccade and the plain script in turn, and core utilization."""
    path = str(run.path)
    ours: list[Finished] = []
    plain: list[Finished] = []
    for _ in range(repeats):
        ours.append(timed([*SACCADE, "predict", path, str(folder), "--csv"]))
        plain.append(timed([sys.executable, "-c", PLAIN, path, str(folder)]))
    what = f"{files} files, whole process"
    name = run.recipe.name
    utilization = [done.processor_seconds / done.seconds / usable_cores() for done in ours]
    ratios = [mine.seconds / other.seconds for mine, other in zip(ours, plain, strict=True)]
    return [
        Result(name, what, "s", [done.seconds for done in ours]),
        Result(name, f"{what}, core utilization", "fraction", utilization),
        Result(f"{name}, Pillow and model.predict", what, "s", [done.seconds for done in plain]),
        Result(f"{name} / Pillow and model.predict", what, "ratio", ratios),
    ]


if __name__ == "__main__":
    run_program(main)
