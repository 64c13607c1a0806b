"""timm's `tf_efficientnet_lite0` with the weights of the package, for the peers that use PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cpu_torchvision  # noqa: F401 - before timm, which imports torchvision
import timm
import torch
from PIL import Image
from protocol import DEVIATION, MEAN, SIDE, Job
from timm.data import create_transform
from torch.utils.data import DataLoader, Dataset

NETWORK = "tf_efficientnet_lite0"


def pretrained(job: Job) -> dict[str, Any]:
    """Return the arguments of `timm.create_model` that load the weights from a file."""
    file = job.weights / f"{NETWORK}.safetensors"
    overlay = {"file": str(file), "mean": (MEAN,) * 3, "std": (DEVIATION,) * 3}
    return {"pretrained": True, "pretrained_cfg_overlay": overlay}


def transform(**settings: Any) -> Any:
    """Return timm's transform of this network, which resizes images by bicubic interpolation."""
    return create_transform(
        SIDE, interpolation=settings.pop("interpolation", "bicubic"), mean=(MEAN,) * 3, std=(DEVIATION,) * 3, **settings
    )


def show_weights(job: Job) -> None:
    """Show that timm's network recognizes the two photographs."""

    def top_classes(files: list[Path]) -> list[int]:
        classes: list[int] = outputs(timm.create_model(NETWORK, **pretrained(job)), files).argmax(dim=1).tolist()
        return classes

    job.show_weights(top_classes)


class Images(Dataset):  # type: ignore[misc]
    """Image files, each as the pixels that `prepare` makes of them."""

    def __init__(self, files: Sequence[Path], prepare: Callable[[Image.Image], torch.Tensor]) -> None:
        self.files, self.prepare = files, prepare

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.prepare(Image.open(self.files[index]).convert("RGB"))


def outputs(network: torch.nn.Module, files: Sequence[Path], stop: Callable[[], bool] = lambda: False) -> torch.Tensor:
    """Return the outputs of a network for image files, float32 [n, outputs], with timm's transform for evaluation.

    Args:
        network: network in timm's normalization.
        files: image files.
        stop: whether to leave out the remaining files; asked before each batch but the first.
    """
    network = network.to(memory_format=torch.channels_last).eval()
    batches: list[torch.Tensor] = []
    with torch.inference_mode():
        for pixels in DataLoader(Images(files, transform()), 32, num_workers=2):
            if batches and stop():
                break
            batches.append(network(pixels.to(memory_format=torch.channels_last)))
    return torch.cat(batches)


def predict(job: Job, network: torch.nn.Module) -> tuple[list[Path], list[list[float]]]:
    """Return the test images and their probabilities, [n, classes]."""
    files = job.test_images()
    probabilities: list[list[float]] = outputs(network, files).softmax(dim=1).tolist()
    return files, probabilities
