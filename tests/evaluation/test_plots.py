"""The drawings hold what they should, and show it in the file that is written; how they look was judged by eye."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saccade.evaluation.report.report_plots import draw_coverage, draw_reliability
from saccade.evaluation.robustness.corruptions import CORRUPTIONS
from saccade.evaluation.robustness.robustness import Corrupted, Robustness
from saccade.evaluation.robustness.robustness_plots import draw_robustness
from saccade.plotting.evaluation_plots import choose_images, draw_confusion_matrix, draw_predictions
from saccade.plotting.figure import save_figure


@pytest.fixture
def written(tmp_path):
    """Writes a figure as a PNG and reads that: uint8 [height, width, 3], of the figure's inches at 100 dots each."""

    def write(figure):
        save_figure(figure, tmp_path / "drawn.png")
        with Image.open(tmp_path / "drawn.png") as image:
            assert image.format == "PNG"
            pixels = np.asarray(image.convert("RGB"))
        np.testing.assert_allclose(pixels.shape[1::-1], 100 * figure.get_size_inches(), atol=1)
        return pixels

    return write


def pixel_at(pixels, axes, x, y):
    """The color that a written figure has at a place of its axes, by the numbers of the axes; int64 [3]."""
    across, up = axes.transData.transform((x, y))
    return pixels[len(pixels) - 1 - round(up), round(across)].astype(int)


@pytest.mark.parametrize("classes", [2, 26, 130])
def test_a_confusion_matrix_of_any_size_becomes_a_png(tmp_path, classes):
    matrix = np.random.default_rng(0).poisson(1, (classes, classes))
    matrix[0] = 0

    save_figure(draw_confusion_matrix(matrix, [f"class {i}" for i in range(classes)], "title"), tmp_path / "m.png")

    with Image.open(tmp_path / "m.png") as image:
        assert image.format == "PNG"
        assert 400 <= image.width <= 3000
        assert 400 <= image.height <= 3000


def test_the_confusion_matrix_shows_counts_names_and_title():
    figure = draw_confusion_matrix(np.array([[13, 0], [7, 21]]), ["cat", "dog"], "a title")
    axes = figure.axes[0]

    assert {text.get_text() for text in axes.texts} == {"13", "7", "21"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert axes.get_title() == "a title"
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true class", "predicted class")


def test_a_cell_of_the_written_confusion_matrix_is_the_darker_the_more_is_in_it(written):
    shades = []
    for confused in (0, 5, 10):
        figure = draw_confusion_matrix(np.array([[10 - confused, confused], [0, 10]]), ["cat", "dog"], "title")
        shades.append(pixel_at(written(figure), figure.axes[0], 1.3, 0.3).sum())

    assert shades[0] > shades[1] + 100 > shades[2] + 200


def test_class_names_that_are_no_plain_text_can_be_drawn(written):
    names = ["$\\frac{", "猫", "two\nlines", "a" * 300]
    matrix = np.eye(4, dtype=np.int64)
    images = np.zeros((4, 8, 8, 3), np.uint8)

    plain = written(draw_confusion_matrix(matrix, ["a", "b", "c", "d"], "$\\frac{"))
    odd = written(draw_confusion_matrix(matrix, names, "$\\frac{"))
    assert plain.shape == odd.shape
    assert (plain != odd).any()
    grids = [
        written(draw_predictions(images, np.arange(4), np.eye(4, dtype=np.float32), own, "$x"))
        for own in (names, ["a", "b", "c", "d"])
    ]
    assert (grids[0] != grids[1]).any()


def test_the_written_grid_shows_the_images(written):
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[0, :, :, 0], images[1, :, :, 2] = 250, 250

    figure = draw_predictions(images, np.array([0, 1]), np.eye(2, dtype=np.float32), ["cat", "dog"], "title")
    pixels, (axes,) = written(figure), figure.axes

    for image, color in zip(axes.images, ([250, 0, 0], [0, 0, 250]), strict=True):
        left, right, bottom, top = image.get_extent()
        assert pixel_at(pixels, axes, (left + right) / 2, (bottom + top) / 2).tolist() == color


def test_the_reliability_plot_has_a_point_at_each_confidence_and_its_accuracy(written):
    confidences = np.repeat([0.55, 0.95], 20)
    correct = np.concatenate([np.arange(20) < 5, np.arange(20) < 19])

    figure = draw_reliability(confidences, correct)
    pixels, (axes,) = written(figure), figure.axes

    points = np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == "o"])
    np.testing.assert_allclose(points, [[0.55, 0.25], [0.95, 0.95]])
    assert all(pixel_at(pixels, axes, *point).sum() < 600 for point in points)
    assert pixel_at(pixels, axes, 0.55, 0.75).sum() > 600


def test_the_coverage_plot_falls_where_the_abstained_predictions_are_incorrect(written):
    confidences, correct = np.linspace(1, 0.5, 100), np.arange(100) < 80

    figure = draw_coverage(confidences, correct)
    pixels, (axes,) = written(figure), figure.axes

    drawn = np.array(axes.lines[0].get_xydata())
    np.testing.assert_allclose(drawn[[0, -1]], [[0.2, 1], [1, 0.8]])
    assert pixel_at(pixels, axes, 0.9, 80 / 90).sum() < 600
    assert pixel_at(pixels, axes, 0.5, 80 / 90).sum() > 600


def test_the_robustness_plot_falls_with_the_accuracies(written):
    falling = tuple(
        Corrupted(one.name, one.what, one.amounts, (0.9, 0.8, 0.7, 0.6, 0.5), ((0.4, 0.95),) * 5) for one in CORRUPTIONS
    )
    measured = Robustness(Path("run"), "photos", "test", 100, 0.9, (0.8, 0.95), falling, (), ())
    steady = replace(measured, corruptions=tuple(replace(one, accuracies=(0.9,) * 5) for one in falling))
    drawn = []
    for robustness in (measured, steady):
        figure = draw_robustness(robustness)
        pixels = written(figure)
        drawn.append([pixel_at(pixels, axes, 4, 0.6) for axes in figure.axes])

    assert len(drawn[0]) == 8
    assert all(np.abs(lower - higher).max() > 60 for lower, higher in zip(*drawn, strict=True))


def test_incorrect_images_are_marked_by_a_cross_a_color_and_a_frame():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    probabilities = np.array([[0.9, 0.1], [0.75, 0.25]], np.float32)

    figure = draw_predictions(images, np.array([0, 1]), probabilities, ["cat", "dog"], "title")
    (axes,) = figure.axes
    colors = {text.get_text(): text.get_color() for text in axes.texts}
    correct, incorrect = axes.patches

    assert list(colors) == ["true: cat", "✓ cat 90%", "true: dog", "✗ cat 75%"]
    assert colors["✗ cat 75%"] != colors["✓ cat 90%"]
    assert incorrect.get_linewidth() > correct.get_linewidth()
    assert incorrect.get_window_extent().x0 > correct.get_window_extent().x1


def test_the_chosen_images_are_25_different_ones_and_always_the_same():
    chosen = choose_images(10_000)

    assert len(set(chosen.tolist())) == 25
    assert chosen.tolist() == choose_images(10_000).tolist()
    assert chosen.max() > 5000
    assert choose_images(3).tolist() == [0, 1, 2]
