"""transfer: a pretrained network with a new head; for few images.

`saccade train DATA --from SOURCE` uses this recipe, with the network, image size and test-time augmentation of the
source. The first epoch fits a linear head to the features of each image (Kornblith, Shlens, Le, "Do better ImageNet
models transfer better?", 2019). The epochs after it train the upper layers on augmented images at a small learning
rate, with frozen batch normalization statistics; their weights are kept if the validation accuracy has improved.

Command: saccade train DATA --from SOURCE
Measured: with few images; docs/performance.md gives the gain.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(
        name="transfer",
        network="MobileNetV3Small",
        transfer=True,
        trainable_fraction=0.75,
        batch_size=64,
        min_steps_per_epoch=10,
        plain_epochs=1,
        augmented_epochs=15,
        learning_rate=0.0005,
        schedule="linear",
        warmup_epochs=1,
        label_smoothing=0.1,
        validation_split=0.2,
        keep="if_improved",
    ),
    purpose="few images: continues from a run, or from a network of keras.applications (--from)",
    origin="our own; a frozen network, a linear head, then fine-tuning at a small learning rate, as is usual",
    network="the source's, with a new dense layer at its end",
    parameters=944_890,
    measured=None,
    unmeasured="not measured on whole CIFAR-10; docs/performance.md has the gain with 20, 50 and 200 images a class",
)
