"""two-phase: the network of `classic`, ten epochs plain and five augmented.

Batches of 128 instead of the tutorial's 32, at twice its learning rate (the square root of four) with a short warm-up:
three quarters of the time, and the same validation accuracy after the same epochs (docs/performance.md).

Command: saccade train DATA --recipe two-phase
Measured: `measured` below, printed by `saccade recipes`.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry, Measurement
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(
        name="two-phase",
        network="classic",
        batch_size=128,
        min_steps_per_epoch=100,
        plain_epochs=10,
        augmented_epochs=5,
        learning_rate=0.002,
        warmup_epochs=0.2,
        batchnorm_recalibration_batches=50,
    ),
    purpose="a good result on small images in a quarter of an hour",
    origin="TensorFlow tutorials on CIFAR-10: the three-block network, train and then train on with augmentation",
    network="3 x [Conv - BN - Conv - BN - MaxPool] (32, 64, 128) - Dropout 0.2 - Dense 1024 - Dropout 0.2 - softmax",
    parameters=2_397_226,
    measured=Measurement(
        data="cifar10-jpeg",
        epochs=15,
        accuracy=0.8213,
        interval=(0.8137, 0.8287),
        num_images=10_000,
        seeds=1,
        minutes=12.7,
        seconds_per_epoch=49.6,
        peak_memory_mb=1208,
        machine="two cores of an AMD EPYC (Zen 4), TensorFlow 2.21 for CPUs",
    ),
)
