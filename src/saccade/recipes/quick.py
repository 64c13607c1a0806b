"""quick: one convolution and a wide dense layer; a first result in minutes.

Command: saccade train DATA --recipe quick
Measured: `measured` below, printed by `saccade recipes`.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry, Measurement
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(name="quick", network="quick", plain_epochs=5, augmented_epochs=2, statistics_batches=100),
    purpose="a first result in minutes, on small pictures",
    origin="TensorFlow tutorials on CIFAR-10: the short one, five epochs and two more with augmentation",
    network="Conv 32 - BN - MaxPool - Dense 1024 - Dropout 0.2 - softmax",
    parameters=8_400_906,
    measured=Measurement(
        data="cifar10-jpeg",
        epochs=7,
        accuracy=0.6058,
        interval=(0.5962, 0.6153),
        pictures=10_000,
        seeds=1,
        minutes=10.7,
        seconds_per_epoch=88.7,
        peak_memory_mb=1302,
        machine="two cores of an AMD EPYC (Zen 4), TensorFlow 2.21 for CPUs",
    ),
)
