"""accurate: the best accuracy that an hour on two CPU cores can buy.

Command: saccade train DATA --recipe accurate
Measured: `measured` below, printed by `saccade recipes`.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry
from saccade.recipes.fast import ENTRY as FAST

ENTRY = Entry(
    recipe=FAST.recipe.model_copy(
        update={"name": "accurate", "network": "accurate", "augmented_epochs": 24, "final_scale": 0.875}
    ),
    purpose="the highest accuracy on small images that an hour on a CPU can buy",
    origin="`fast`, with the channels of airbench95 (Keller Jordan, 2024) and three times the epochs",
    network="as fast, with more channels (128, 384, 384)",
    parameters=4_608_312,
    measured=None,
    unmeasured=(
        "91.79% (91.24% to 92.31%) of the 10,000 test images of cifar10-jpeg, one seed, trained on all 50,000 "
        "(validation_split=0); the time was not measured, because the machine did other work: an epoch took at least "
        "160 s once the images had grown"
    ),
)
