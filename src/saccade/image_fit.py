"""Conversion of an image to the input of a network: the values of the recipe keys `fit` and `scale`."""

from __future__ import annotations

from typing import Literal

Fit = Literal["crop", "pad", "squash"]
"""Conversion of an image of any aspect ratio to the height and width of the network's input.

- "crop": the image is resized, with its aspect ratio, to the smallest size that covers the input; the center is cut
  out.
- "pad": the image is resized, with its aspect ratio, to the largest size that fits into the input; the rest is filled
  with the background color.
- "squash": height and width are resized independently; the aspect ratio changes.
"""

Scale = Literal["full", "auto"]
"""Range of 16-bit gray samples: all 16 bits, or the low bits that the images of the data use."""

FIT_DESCRIPTIONS: dict[Fit, str] = {
    "crop": "resized by Pillow's bicubic filter so that the image just covers the size, the center cut out",
    "pad": "resized by Pillow's bicubic filter so that the whole image just fits into the size, centered on the "
    "background color",
    "squash": "resized by Pillow's bicubic filter to the size, height and width independently",
}
"""Description of each fit, for the metadata of exported models."""
