"""Peer: `airbench94_muon.py` by Keller Jordan, adapted to a processor without CUDA.

    python airbench.py JOB

The user gives the file itself. JOB is a JSON file of `benchmarks/against_airbench.py`. The adapted file is written
beside the result, so that it can be read and compared. It differs from the given file by `substitutions` alone; a
substitution whose text does not occur as often as listed is an error. Besides them, the program leaves out the warm-up
and the 200 trainings at the end of the file: it trains once, and predicts the test images once, with the file's own six
augmented images.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Substitution:
    """A text of the file, the number of times that it occurs, and the text that takes its place."""

    old: str
    new: str
    times: int = 1


def substitutions(*, compiled: bool) -> list[Substitution]:
    """Return the changes of the file.

    The names DTYPE, EPOCHS, Event, normalization and read_split are set by `load_adapted`.

    Args:
        compiled: whether `torch.compile` is used.
    """
    changes = [
        # torchvision is used for the download and for the normalization alone.
        Substitution("import torchvision\nimport torchvision.transforms as T\n", ""),
        Substitution("T.Normalize(CIFAR_MEAN, CIFAR_STD)", "normalization(CIFAR_MEAN, CIFAR_STD)"),
        Substitution('"train.pt" if train else "test.pt"', '"train.npz" if train else "test.npz"'),
        Substitution('torch.load(data_path, map_location=torch.device("cuda"))', "read_split(data_path)"),
        Substitution("torch.backends.cudnn.benchmark = True\n", ""),
        Substitution("torch.cuda.Event(enable_timing=True)", "Event()", times=2),
        Substitution("torch.cuda.synchronize()", "pass"),
        # Half precision is a format of GPUs. The iteration begins with a division in place, so it needs a new tensor.
        Substitution("self.images.half()", "self.images.to(DTYPE)"),
        Substitution("mod.half()", "mod.to(DTYPE)"),
        Substitution("G.bfloat16()", "G.to(DTYPE, copy=True)"),
        # The schedule for another number of epochs: the same fractions of the training.
        Substitution("ceil(8 * len(train_loader))", "ceil(EPOCHS * len(train_loader))"),
        Substitution("ceil(3 * len(train_loader))", "ceil(3 / 8 * EPOCHS * len(train_loader))"),
        # The test images are predicted once, at the end.
        Substitution("val_acc = evaluate(model, test_loader, tta_level=0)", "val_acc = None"),
    ]
    return changes if compiled else [*changes, Substitution("@torch.compile\n", "")]


def adapted(text: str, changes: list[Substitution]) -> str:
    """Return the text with all substitutions.

    Raises:
        ValueError: a text does not occur as often as listed.
    """
    for change in changes:
        found = text.count(change.old)
        if found != change.times:
            raise ValueError(f"'{change.old}' was expected {change.times} time(s), and found {found} time(s)")
        text = text.replace(change.old, change.new)
    return text


def main(job: dict[str, Any]) -> None:
    """Train, predict the test images, and write the result."""
    import torch

    torch.manual_seed(job["seed"])
    folder = Path(job["result"]).parent
    module = load_adapted(job, folder)
    os.chdir(job["data"])
    ends: list[float] = []
    logits: list[torch.Tensor] = []
    infer = module.infer

    def infer_and_keep(*arguments: Any) -> torch.Tensor:
        logits.append(infer(*arguments))
        return logits[-1]

    def keep_time(_variables: dict[str, Any], **_options: bool) -> None:
        ends.append(time.monotonic() - job["began"])

    # The file looks both up by name. `keep_time` is called after each epoch, and after the predictions.
    module.__dict__.update(infer=infer_and_keep, print_training_details=keep_time)
    model = module.CifarNet().to(memory_format=torch.channels_last)
    if job["compiled"]:
        model.compile(mode="max-autotune")
    started = time.monotonic() - job["began"]
    module.main(0, model)
    result = {
        "started": started,
        "epoch_ends": ends[:-1],
        "end": ends[-1],
        "logits": logits[-1].float().tolist(),
        "notes": {"torch": torch.__version__, "threads": torch.get_num_threads()},
    }
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")


def load_adapted(job: dict[str, Any], folder: Path) -> ModuleType:
    """Write the adapted file into a folder, and import it."""
    import numpy as np
    import torch

    class Event:
        """A moment, like an event of CUDA."""

        def record(self) -> None:
            self.seconds = time.perf_counter()

        def elapsed_time(self, end: Event) -> float:
            """Return the milliseconds between this moment and another one."""
            return 1e3 * (end.seconds - self.seconds)

    def normalization(mean: torch.Tensor, deviation: torch.Tensor) -> Any:
        """Return a function that normalizes images, [n, 3, height, width]."""
        return lambda images: (images - mean.reshape(3, 1, 1).to(images)) / deviation.reshape(3, 1, 1).to(images)

    def read_split(path: str) -> dict[str, Any]:
        """Read images, uint8 [n, 32, 32, 3], and labels, int64 [n]."""
        arrays = np.load(path)
        return {name: torch.from_numpy(arrays[name]) for name in ("images", "labels")} | {"classes": None}

    given = Path(job["program"]).read_text(encoding="utf-8")
    path = folder / "airbench_adapted.py"
    path.write_text(adapted(given, substitutions(compiled=job["compiled"])), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    names = {"DTYPE": getattr(torch, job["dtype"]), "EPOCHS": job["epochs"]}
    module.__dict__.update(names, Event=Event, normalization=normalization, read_split=read_split)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
