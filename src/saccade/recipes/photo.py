"""photo: a linear head on the features of a pretrained network, then fine-tuning of its upper layers; for photographs.

The first epoch fits a linear head, as the recipe `linear-probe` does. Then the last third of EfficientNet-Lite0 is
trained, for several epochs, on the outputs of the frozen layers below it. These outputs are computed once, for each
image and for some augmented versions of it, which takes most of the work out of the steps. The batch normalization
stays frozen. The fine-tuned weights are kept unless the validation log-loss of the head alone is clearly lower.

Command: saccade train FOLDER
Measured: on photographs; docs/performance.md has the results.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(
        name="photo",
        network="EfficientNetLite0",
        transfer=True,
        trainable_fraction=0.33,
        augmented_versions=4,
        plain_epochs=1,
        augmented_epochs=8,
        batch_size=32,
        min_steps_per_epoch=40,
        optimizer="adamw",
        learning_rate=0.001,
        schedule="cosine",
        warmup_epochs=1,
        label_smoothing=0.1,
        crop_scale=0.5,
        translate=0.0,
        keep="if_improved",
        compute="float32",
    ),
    purpose="photographs: a linear head on a pretrained network, then fine-tuning of its upper third, in minutes",
    origin="our own; fine-tuning on kept outputs of the frozen layers",
    network="EfficientNet-Lite0, its upper third trained, with a new dense layer at its end",
    parameters=3_425_834,
    measured=None,
    unmeasured="not measured on CIFAR-10; docs/performance.md has the results on photographs",
)
