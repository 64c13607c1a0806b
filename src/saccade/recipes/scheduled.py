"""scheduled: a small network, augmented from the first epoch, with a learning rate that falls every ten epochs.

Two deliberate deviations from its tutorial: Dropout stands before the last Dense layer (the tutorial drops logits,
which silences classes at random), and pixels are rescaled to 0 to 1 (the tutorial feeds 0 to 255).

Command: saccade train DATA --recipe scheduled
Measured: `measured` below, printed by `saccade recipes`.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry, Measurement
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(
        name="scheduled",
        network="scheduled",
        plain_epochs=0,
        augmented_epochs=50,
        rotation=15.0,
        batchnorm_recalibration_batches=100,
        lr_decay=0.1,
        lr_decay_epochs=10,
    ),
    purpose="a small model (0.5 MB) that shows a learning-rate schedule",
    origin="TensorFlow tutorials on CIFAR-10: augmentation with rotation and a LearningRateScheduler",
    network="Conv 32 - BN - Pool - Conv 64 - BN - Pool - Conv 64 - BN - Dense 64 - BN - Dropout 0.25 - logits",
    parameters=123_466,
    measured=Measurement(
        data="cifar10-jpeg",
        epochs=50,
        accuracy=0.7735,
        interval=(0.7652, 0.7816),
        num_images=10_000,
        seeds=1,
        minutes=17.6,
        seconds_per_epoch=20.3,
        peak_memory_mb=977,
        machine="two cores of an AMD EPYC (Zen 4), TensorFlow 2.21 for CPUs",
    ),
)
