"""fast: the most accurate classifier that a few minutes on two CPU cores can buy.

Command: saccade train DATA --recipe fast
"""

from __future__ import annotations

from saccade.recipes.entry import Entry
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(
        name="fast",
        network="fast",
        batch_size=500,
        least_steps=50,
        plain_epochs=0,
        augmented_epochs=8,
        shift=1 / 16,
        whole_pixels=True,
        start_size=0.5,
        end_size=0.875,
        optimizer="muon",
        learning_rate=0.14,
        schedule="linear",
        label_smoothing=0.2,
        views=6,
    ),
    purpose="the default: the best result that minutes on a CPU can buy",
    origin="airbench94 (Keller Jordan, 2024), made over for two CPU cores",
    network="whitening - 3 x [Conv - MaxPool - BN - SiLU - Conv - BN - SiLU] (64, 256, 256) - GlobalMaxPool - dense",
    parameters=1_973_944,
    measured=None,
    unmeasured="not measured yet",
)
