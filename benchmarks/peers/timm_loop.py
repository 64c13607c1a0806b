"""Peer: a plain PyTorch loop that fine-tunes timm's `tf_efficientnet_lite0` with timm's default augmentation.

AdamW, all layers, batches of 32. The learning rate is a function of the part of the budget that has passed, a linear
warm-up and then a cosine, so that the schedule ends with the budget on every data set. Training images are those of the
training and of the validation split.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cpu_torchvision  # noqa: F401 - before timm, which imports torchvision
import timm
import timm_network
import torch
from protocol import Job
from timm.optim import create_optimizer_v2
from torch.utils.data import ConcatDataset, DataLoader
from torchvision.datasets import ImageFolder

BATCH, WORKERS = 32, 2
RATE = 5e-4
WARMUP = 0.1  # part of the training time


def main(job: Job) -> None:
    """Train until the budget ends, and predict the test images."""
    timm_network.show_weights(job)
    torch.manual_seed(job.seed)
    network = timm.create_model(
        timm_network.NETWORK, num_classes=len(job.class_names), **timm_network.pretrained(job)
    ).to(memory_format=torch.channels_last)
    train(job, network)
    job.end_training()
    job.save(*timm_network.predict(job, network))


def train(job: Job, network: torch.nn.Module) -> None:
    """Fine-tune all layers."""
    augment = timm_network.transform(is_training=True, interpolation="random")
    images = ConcatDataset([ImageFolder(folder, augment) for folder in job.train_folders])
    batches = repeated(DataLoader(images, BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True))
    optimizer = create_optimizer_v2(network, "adamw", lr=RATE, weight_decay=0.05)
    network.train()
    began, steps, slowest = job.elapsed, 0, 0.0
    while job.remaining > slowest:
        step_began = job.elapsed
        pixels, labels = next(batches)
        progress = (job.elapsed - began) / (job.seconds - began)
        for group in optimizer.param_groups:
            group["lr"] = RATE * schedule(progress)
        loss = torch.nn.functional.cross_entropy(network(pixels.to(memory_format=torch.channels_last)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        slowest = max(slowest, job.elapsed - step_began) if steps > 1 else 0.0  # the first starts the workers
    job.notes |= {"steps": steps, "epochs": round(steps * BATCH / len(images), 2), "loss": loss.item()}


def schedule(progress: float) -> float:
    """Return the learning rate relative to its highest value, by the part of the training that has passed, 0 to 1."""
    if progress < WARMUP:
        return progress / WARMUP
    return (1 + math.cos(math.pi * min(1.0, (progress - WARMUP) / (1 - WARMUP)))) / 2


def repeated(loader: DataLoader[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the batches of one epoch after the other."""
    while True:
        yield from loader


if __name__ == "__main__":
    main(Job.of_command_line())
