"""Job of a peer, its deadline and its predictions: all that a peer shares with `photo_peers.py`.

A peer runs in an environment of its own, without Saccade; this module needs the standard library only. `photo_peers.py`
starts `python PEER.py JOB`, and JOB is a JSON file with the attributes of `Job`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import distributions
from pathlib import Path

EXPECTED = [698, 985]
"""ImageNet classes of scikit-learn's two sample photographs: palace and daisy."""

MEAN, DEVIATION = 127 / 255, 128 / 255
"""Normalization of pixels from 0 to 1 that the weights of EfficientNet-Lite0 were trained with."""

SIDE = 224


class Job:
    """Training and prediction of a peer.

    Attributes:
        data: folder with the folders "train" and "test", and "validation" where the data has it, of class folders.
        weights: folder with `tf_efficientnet_lite0.safetensors` for timm, and `efficientnet_lite0.keras` for Keras.
        photographs: the two sample photographs.
        seconds: time budget, in seconds of wall-clock time from the start of the process.
        seed: random seed.
        class_names: sorted names of the classes.
        notes: remarks on the training, which are saved with the predictions.
    """

    def __init__(self, path: str) -> None:
        job = json.loads(Path(path).read_text(encoding="utf-8"))
        self.data, self.weights = Path(job["data"]), Path(job["weights"])
        self.photographs = [Path(photograph) for photograph in job["photographs"]]
        self.seconds, self.seed = float(job["seconds"]), int(job["seed"])
        self.class_names = sorted(folder.name for folder in (self.data / "train").iterdir())
        self.notes: dict[str, object] = {}
        self._began, self._result = float(job["began"]), Path(job["result"])
        self._trained_seconds: float | None = None

    @classmethod
    def of_command_line(cls) -> Job:
        """Read the job that the first argument names."""
        return cls(sys.argv[1])

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the process, without the time of `show_weights`."""
        return time.monotonic() - self._began

    @property
    def remaining(self) -> float:
        """Seconds to the end of the budget."""
        return self.seconds - self.elapsed

    @property
    def train_folders(self) -> list[Path]:
        """Folders of the training images: "train", and "validation" where the data has it."""
        return [self.data / name for name in ("train", "validation") if (self.data / name).is_dir()]

    def test_images(self) -> list[Path]:
        """Return the test images, sorted by path."""
        return sorted(path for path in (self.data / "test").glob("*/*") if path.is_file())

    def show_weights(self, top_classes: Callable[[list[Path]], Sequence[int]]) -> None:
        """Print the most probable ImageNet class of the two photographs, and exit if a class is wrong.

        This is a check of the benchmark and no part of a training, so its time does not count.

        Args:
            top_classes: function from files to their most probable classes, by the network with its 1,000 classes.
        """
        began = time.monotonic()
        found = [int(number) for number in top_classes(self.photographs)]
        print(f"ImageNet classes of the two photographs: {found}", flush=True)
        if found != EXPECTED:
            sys.exit(f"the pretrained weights are not those of EfficientNet-Lite0: found {found}, expected {EXPECTED}")
        self._began += time.monotonic() - began

    def end_training(self) -> None:
        """Stop the clock of the training."""
        self._trained_seconds = self.elapsed

    def save(self, images: Sequence[Path], probabilities: Sequence[Sequence[float]]) -> None:
        """Save the predictions of the test images.

        Args:
            images: n test images.
            probabilities: probabilities of each image, [n, classes], in the order of `class_names`.
        """
        result = {
            "seconds": self._trained_seconds,
            "class_names": self.class_names,
            "names": [path.relative_to(self.data / "test").as_posix() for path in images],
            "probabilities": [[float(value) for value in row] for row in probabilities],
            "notes": self.notes,
            "packages": {package.name: package.version for package in distributions()},
        }
        self._result.write_text(json.dumps(result), encoding="utf-8")
