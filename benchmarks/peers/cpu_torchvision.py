"""Importing this module first makes torchvision importable beside a PyTorch for CPUs."""

from __future__ import annotations

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # torchvision of the Python Package Index is built for CUDA; its operators are missing beside PyTorch for CPUs.
    # timm and fastai need none of them, but importing torchvision refers to these two.
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
