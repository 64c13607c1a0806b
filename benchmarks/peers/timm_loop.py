"""Peer: a plain PyTorch loop that fine-tunes timm's `tf_efficientnet_lite0` with timm's default augmentation.

AdamW, batches of 32. First the head alone is trained, at a constant learning rate, for an epoch or a third of the time,
whichever is shorter. Then all layers are trained, with a linear warm-up and a cosine. The learning rate is a function
of the part of the time that has passed, so that the schedule ends with the budget on every data set. Training images
are those of the training and of the validation split.
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
HEAD_RATE, RATE = 2e-3, 1e-3
HEAD_PART = 1 / 3  # largest part of the training time for the head alone
WARMUP = 0.1  # part of the time for all layers


def main(job: Job) -> None:
    """Train until the budget ends, and predict the test images."""
    timm_network.show_weights(job)
    torch.manual_seed(job.seed)
    network = timm.create_model(timm_network.NETWORK, **timm_network.pretrained(job))
    # As in PyTorch's transfer learning tutorial. The head of `create_model(num_classes=...)` begins with weights up to
    # 1 / sqrt(classes), which give a loss of 4.7 for eight classes, and take many steps to unlearn.
    network.classifier = torch.nn.Linear(network.num_features, len(job.class_names))
    train(job, network.to(memory_format=torch.channels_last))
    job.end_training()
    job.save(*timm_network.predict(job, network))


def train(job: Job, network: torch.nn.Module) -> None:
    """Train the head, then all layers."""
    augment = timm_network.transform(is_training=True, interpolation="random")
    images = ConcatDataset([ImageFolder(folder, augment) for folder in job.train_folders])
    batches = repeated(DataLoader(images, BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True))
    optimizer = create_optimizer_v2(network, "adamw", lr=RATE, weight_decay=0.05)
    began = all_began = job.elapsed
    slowest = 0.0
    head_end, head_steps, steps = began + HEAD_PART * (job.seconds - began), 0, 0
    while job.remaining > slowest:
        step_began = job.elapsed
        pixels, labels = next(batches)
        if job.elapsed < head_end and head_steps * BATCH < len(images):
            rate = HEAD_RATE
            logits = network.classifier(frozen_features(network, pixels))
            head_steps += 1
            all_began = job.elapsed
        else:
            rate = RATE * schedule((job.elapsed - all_began) / (job.seconds - all_began))
            logits = network.train()(pixels.to(memory_format=torch.channels_last))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        # The first step starts the workers.
        slowest = max(slowest, job.elapsed - step_began) if steps else 0.0
        steps += 1
    epochs = round(steps * BATCH / len(images), 2)
    job.notes |= {"steps": steps, "steps of the head": head_steps, "epochs": epochs, "loss": loss.item()}


def frozen_features(network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Return the features of images by the frozen network."""
    network.eval()
    with torch.no_grad():
        features = network.forward_features(pixels.to(memory_format=torch.channels_last))
        pooled: torch.Tensor = network.forward_head(features, pre_logits=True)
    return pooled


def schedule(progress: float) -> float:
    """Return the learning rate relative to its highest value, by the part of the time that has passed, 0 to 1."""
    if progress < WARMUP:
        return progress / WARMUP
    return (1 + math.cos(math.pi * min(1.0, (progress - WARMUP) / (1 - WARMUP)))) / 2


def repeated(loader: DataLoader[tuple[torch.Tensor, torch.Tensor]]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the batches of one epoch after the other."""
    while True:
        yield from loader


if __name__ == "__main__":
    main(Job.of_command_line())
