"""quick: one convolution and a wide dense layer; a first result in minutes.

Batches of 128 instead of the tutorial's 32, as in `two-phase`: a step of Adam over eight million weights costs more
than the images of a small batch.

Command: saccade train DATA --recipe quick
Measured: `measured` below, printed by `saccade recipes`.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry, Measurement
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(
        name="quick",
        network="quick",
        batch_size=128,
        min_steps_per_epoch=100,
        plain_epochs=5,
        augmented_epochs=2,
        learning_rate=0.002,
        warmup_epochs=0.2,
        batchnorm_recalibration_batches=50,
    ),
    purpose="a first result in minutes, on small images",
    origin="TensorFlow tutorials on CIFAR-10: the short one, five epochs and two more with augmentation",
    network="Conv 32 - BN - MaxPool - Dense 1024 - Dropout 0.2 - softmax",
    parameters=8_400_906,
    measured=Measurement(
        data="cifar10-jpeg",
        epochs=7,
        accuracy=0.6441,
        interval=(0.6347, 0.6534),
        num_images=10_000,
        seeds=1,
        minutes=3.4,
        seconds_per_epoch=25.5,
        peak_memory_mb=1609,
        machine="two cores of an AMD EPYC (Zen 4), TensorFlow 2.21 for CPUs",
    ),
)
