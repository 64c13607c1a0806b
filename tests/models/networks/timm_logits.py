"""Logits of timm's `tf_efficientnet_lite0`, for `test_efficientnet_lite.py`; runs where PyTorch and timm are installed.

The folder in the first argument holds `state.npz`, the weights in the order of the source file, and
`images.npy`, uint8 [n, height, width, 3]. The program writes `logits.npy`, float32 [n, 1000]. `cpu_torchvision` is in
`benchmarks/peers`, which has to be in PYTHONPATH.
"""

import sys
from pathlib import Path

import cpu_torchvision  # noqa: F401 - before timm, which imports torchvision
import numpy as np
import timm
import torch


def main(folder):
    """Write the logits of the images in the folder."""
    model = timm.create_model("tf_efficientnet_lite0").eval()
    # Both state dictionaries are in the order of the forward pass; loading checks the shapes.
    with np.load(folder / "state.npz") as state:
        tensors = [torch.from_numpy(state[name]) for name in state.files]
    model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)))
    pixels = torch.from_numpy(np.load(folder / "images.npy")).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        logits = torch.cat([model((batch - 127) / 128) for batch in pixels.split(16)])
    np.save(folder / "logits.npy", logits.numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
