"""folder: a small network for images in class folders, of any size.

Saccade's own cache takes the place of the tutorial's cached and prefetched pipeline: images are decoded once, and read
from a memory-mapped array.

Command: saccade train FOLDER --recipe folder
Measured: not yet.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(name="folder", network="folder", plain_epochs=10),
    purpose="images in class folders, of any size",
    origin="TensorFlow tutorial on loading images from folders (image_dataset_from_directory)",
    network="Rescaling - 3 x [Conv 16/32/64 - MaxPool] - Dense 128 - logits",
    parameters=156_074,
    measured=None,
    unmeasured="not measured yet",
)
