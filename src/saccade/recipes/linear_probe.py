"""linear-probe: a linear classifier on the features of a pretrained network; for photographs, in seconds.

EfficientNet-Lite0 with the ImageNet weights of this package stays frozen. Its features of each training image, and of
the mirrored image, are computed once, and a regularized linear head is fitted to them (Kornblith, Shlens, Le, "Do
better ImageNet models transfer better?", CVPR 2019). Nothing is downloaded. The whole image is used, since
`fit` is "pad" by default above 64 pixels.

Command: saccade train FOLDER --recipe linear-probe
Measured: on photographs; docs/performance.md has the results.
"""

from __future__ import annotations

from saccade.recipes.entry import Entry
from saccade.recipes.recipe import Recipe

ENTRY = Entry(
    recipe=Recipe(
        name="linear-probe",
        network="EfficientNetLite0",
        transfer=True,
        trainable_fraction=0.0,
        plain_epochs=1,
        compute="float32",
    ),
    purpose="photographs, in a minute: a linear classifier on the features of a pretrained network",
    origin="our own; a frozen network and a linear head, as is usual",
    network="EfficientNet-Lite0, frozen, with a new dense layer at its end",
    parameters=3_425_834,
    measured=None,
    unmeasured="not measured on CIFAR-10; docs/performance.md has the results on photographs",
)
