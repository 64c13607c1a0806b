"""fast: the most accurate classifier that a few minutes on two CPU cores can buy.

Command: saccade train DATA --recipe fast
Measured: 89.46% on the test split of cifar10-jpeg with test-time augmentation (`tta_views=6`), 88.52% without; mean of
five seeds, standard deviation 0.12 points; trained on all 50,000 images (`--set validation_split=0`), 7.2 minutes on
two cores.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry, Measurement
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(
        name="fast",
        network="fast",
        batch_size=500,
        min_steps_per_epoch=50,
        plain_epochs=0,
        augmented_epochs=8,
        translate=1 / 16,
        integer_translate=True,
        initial_scale=0.5,
        final_scale=0.8125,
        optimizer="muon",
        learning_rate=0.14,
        schedule="linear",
        label_smoothing=0.2,
        tta_views=6,
    ),
    purpose="small images, the default for them: the best result that minutes on a CPU can buy",
    origin="airbench94 (Keller Jordan, 2024), adapted to two CPU cores",
    network="whitening - 3 x [Conv - MaxPool - BN - SiLU - Conv - BN - SiLU] (64, 256, 256) - GlobalMaxPool - dense",
    parameters=1_973_944,
    measured=Measurement(
        data="cifar10-jpeg",
        epochs=8,
        accuracy=0.8946,
        interval=(0.8884, 0.9005),
        num_images=10_000,
        seeds=5,
        minutes=7.2,
        seconds_per_epoch=53.0,
        peak_memory_mb=1476,
        machine="two cores of an AMD EPYC (Zen 4), TensorFlow 2.21 for CPUs",
    ),
)
