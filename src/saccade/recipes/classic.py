"""classic: three pairs of convolutions with batch normalization, trained long, then longer with augmentation.

The batch size of 128 and the learning rate are those of `two-phase`, for the reason given there.

Command: saccade train DATA --recipe classic
Measured: not as a whole; `two-phase` is the same network and method with fewer epochs, and is measured.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(
        name="classic",
        network="classic",
        batch_size=128,
        min_steps_per_epoch=100,
        plain_epochs=50,
        augmented_epochs=50,
        learning_rate=0.002,
        warmup_epochs=0.2,
        batchnorm_recalibration_batches=50,
    ),
    purpose="the tutorial's full length: 50 epochs and 50 more with augmentation",
    origin="TensorFlow tutorials on CIFAR-10: the three-block network with batch normalization",
    network="3 x [Conv - BN - Conv - BN - MaxPool] (32, 64, 128) - Dropout 0.2 - Dense 1024 - Dropout 0.2 - softmax",
    parameters=2_397_226,
    measured=None,
    unmeasured="not measured as a whole; 100 epochs at the pace of two-phase take about 1.4 hours on that machine",
)
