"""Peer: fastai's `vision_learner(...).fine_tune`, with timm's `tf_efficientnet_lite0`.

`Resize(224)`, `aug_transforms()`, fastai's own head, optimizer, schedule and batches of 64, and its callback
`ChannelsLast`, which makes PyTorch faster. The validation images are those of the validation split, or 20% of the
training images, fastai's default, where the data has no such split. The number of epochs of all layers, after the one
of the head, is what fits into the budget by the measured time of the first images, at least one. A training that takes
longer is stopped at the budget, and the model of that moment predicts.
"""

from __future__ import annotations

import copy

import cpu_torchvision  # noqa: F401 - before fastai, which imports torchvision
import timm_network
import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.vision.all import (
    Callback,
    CancelFitException,
    ImageDataLoaders,
    Learner,
    Resize,
    aug_transforms,
    set_seed,
    vision_learner,
)
from protocol import SIDE, Job

MEASURED = 16  # images whose training is timed


class StopAtDeadline(Callback):  # type: ignore[misc]
    """Ends a fit before the batch that would exceed the budget.

    Attributes:
        estimated: estimated seconds of a batch, by whether the body is frozen.
        slowest: seconds of the slowest batch so far but the first.
        steps: number of training steps so far.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.steps, self.slowest, self.batch_began = job, 0, 0.0, 0.0
        self.estimated = {True: 0.0, False: 0.0}

    def before_batch(self) -> None:
        """Stop if the time does not suffice for another batch."""
        frozen = not self.training or self.opt.frozen_idx > 0
        if self.job.remaining < max(self.slowest, self.estimated[frozen]):
            raise CancelFitException
        self.batch_began = self.job.elapsed

    def after_batch(self) -> None:
        """Note how long the batch took."""
        if self.steps:  # the first batch is slower than all others
            self.slowest = max(self.slowest, self.job.elapsed - self.batch_began)
        self.steps += self.training


def main(job: Job) -> None:
    """Fine-tune, and predict the test images."""
    timm_network.show_weights(job)
    set_seed(job.seed)
    loaders = make_loaders(job)
    stop = StopAtDeadline(job)
    learner = vision_learner(loaders, timm_network.NETWORK, cbs=[ChannelsLast(), stop], **timm_network.pretrained(job))
    seconds = measure(job, learner)
    stop.estimated = {frozen: loaders.bs * each for frozen, each in seconds.items()}
    epochs = count_epochs(job, learner, seconds)
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(epochs)
        job.end_training()
        job.notes |= {"epochs": epochs, "steps": stop.steps, "planned steps": (epochs + 1) * len(loaders.train)}
        learner.remove_cb(stop)
        files = job.test_images()
        probabilities, _ = learner.get_preds(dl=loaders.test_dl(files))
    if list(loaders.vocab) != job.class_names:
        raise ValueError(f"fastai's classes are {list(loaders.vocab)}, not {job.class_names}")
    job.save(files, probabilities.tolist())


def make_loaders(job: Job) -> ImageDataLoaders:
    """Load the training and the validation images, in batches of 64, fastai's default."""
    transforms = {"item_tfms": Resize(SIDE), "batch_tfms": aug_transforms()}
    if len(job.train_folders) > 1:
        return ImageDataLoaders.from_folder(job.data, train="train", valid="validation", **transforms)
    return ImageDataLoaders.from_folder(job.data / "train", valid_pct=0.2, seed=job.seed, **transforms)


def measure(job: Job, learner: Learner) -> dict[bool, float]:
    """Return the seconds of the training of an image, loading included, by whether the body is frozen."""
    loader = learner.dls.train
    began = job.elapsed
    items = [loader.do_item(number) for number in range(MEASURED)]
    decoding: float = (job.elapsed - began) / loader.fake_l.num_workers
    began = job.elapsed
    pixels, labels = loader.after_batch(loader.create_batch(items))
    augmenting = job.elapsed - began
    network = copy.deepcopy(learner.model).to(memory_format=torch.channels_last).train()

    def seconds() -> float:
        began = job.elapsed
        learner.loss_func(network(pixels), labels).backward()
        return (job.elapsed - began + decoding + augmenting) / MEASURED

    seconds()  # the first call is slower
    # fastai trains batch normalization in the frozen body, so a step passes through the whole body backward.
    frozen = seconds()
    network.requires_grad_(True)
    return {True: frozen, False: seconds()}


def count_epochs(job: Job, learner: Learner, seconds: dict[bool, float]) -> int:
    """Return the number of epochs of all layers that fit into the budget, after the epoch of the head; at least 1.

    Args:
        job: job with the budget.
        learner: learner with the training and validation images.
        seconds: seconds of the training of an image, by whether the body is frozen.
    """
    train = len(learner.dls.train_ds)
    validation = len(learner.dls.valid_ds) * seconds[True] / 3  # no backward pass
    head_epoch, epoch = train * seconds[True] + validation, train * seconds[False] + validation
    job.notes |= {"head epoch, estimated s": round(head_epoch, 1), "epoch, estimated s": round(epoch, 1)}
    return max(1, int((job.remaining - head_epoch) / epoch))


if __name__ == "__main__":
    main(Job.of_command_line())
