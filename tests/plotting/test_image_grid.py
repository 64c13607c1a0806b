"""Positions of images and text in a grid."""

import numpy as np
import pytest
from PIL import Image

from saccade.plotting.figure import save_figure
from saccade.plotting.image_grid import Tile, draw_grid


def wide(color=None):
    return Tile(np.zeros((8, 16, 3), np.uint8), ("over", "above"), (("below", "red"), ("under", "blue")), color=color)


def test_aspect_ratios_of_images_and_positions_of_text():
    (axes,) = draw_grid("two\nlines", [wide("green"), wide(), wide()], columns=2, side=1.0).axes
    first, second, third = (image.get_extent() for image in axes.images)
    left, right, bottom, top = first
    assert (right - left, top - bottom) == pytest.approx((1, 0.5))
    assert second[0] > right
    assert second[2:] == first[2:]
    assert third[:2] == first[:2]
    assert third[3] < bottom
    words = {text.get_text(): text for text in axes.texts[:4]}
    heights = [words[name].get_position()[1] for name in ("over", "above", "below", "under")]
    assert heights == sorted(heights, reverse=True)
    assert heights[1] > top
    assert heights[2] < bottom
    assert [words[name].get_color() for name in ("above", "below", "under")] == ["green", "red", "blue"]
    assert len(axes.patches) == 1  # the frame of the only tile with a color


def test_a_grid_without_images_has_a_title(tmp_path):
    figure = draw_grid("nothing to show", [], columns=5, side=1.9)
    assert figure.get_suptitle() == "nothing to show"
    save_figure(figure, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as image:
        title = np.asarray(image.convert("L"))
    assert (title < 100).any()
