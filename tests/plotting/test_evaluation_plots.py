"""Plots of evaluations: contents of the figures and of the written files."""

import numpy as np
import pytest
from PIL import Image

from saccade.plotting.calibration_plots import draw_coverage, draw_reliability
from saccade.plotting.evaluation_plots import choose_images, draw_confusion_matrix, draw_predictions
from saccade.plotting.figure import save_figure
from saccade.plotting.robustness_plots import draw_robustness


@pytest.fixture
def written(tmp_path):
    """Function that writes a figure as a PNG with 100 dots per inch and reads the pixels, uint8 [height, width, 3]."""

    def write(figure):
        save_figure(figure, tmp_path / "figure.png")
        with Image.open(tmp_path / "figure.png") as image:
            assert image.format == "PNG"
            pixels = np.asarray(image.convert("RGB"))
        np.testing.assert_allclose(pixels.shape[1::-1], 100 * figure.get_size_inches(), atol=1)
        return pixels

    return write


def pixel_at(pixels, axes, x, y):
    """Return the color of a written figure at data coordinates of its axes, int64 [3]."""
    across, up = axes.transData.transform((x, y))
    return pixels[len(pixels) - 1 - round(up), round(across)].astype(int)


@pytest.mark.parametrize("classes", [2, 26, 130])
def test_a_confusion_matrix_of_any_size_is_written_as_png(tmp_path, classes):
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


def test_cells_of_the_confusion_matrix_with_more_images_are_darker(written):
    shades = []
    for confused in (0, 5, 10):
        figure = draw_confusion_matrix(np.array([[10 - confused, confused], [0, 10]]), ["cat", "dog"], "title")
        shades.append(pixel_at(written(figure), figure.axes[0], 1.3, 0.3).sum())

    assert shades[0] > shades[1] + 100 > shades[2] + 200


def test_class_names_with_special_characters_can_be_drawn(written):
    names = ["$\\frac{", "猫", "two\nlines", "a" * 300]
    matrix = np.eye(4, dtype=np.int64)
    images = np.zeros((4, 8, 8, 3), np.uint8)

    plain = written(draw_confusion_matrix(matrix, ["a", "b", "c", "d"], "$\\frac{"))
    odd = written(draw_confusion_matrix(matrix, names, "$\\frac{"))
    assert plain.shape == odd.shape
    assert (plain != odd).any()
    grids = [
        written(draw_predictions(images, np.arange(4), np.eye(4, dtype=np.float32), class_names, "$x"))
        for class_names in (names, ["a", "b", "c", "d"])
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


def test_the_reliability_diagram_has_a_point_for_each_bin(written):
    figure = draw_reliability([(0.55, 0.25, (0.11, 0.47)), (0.95, 0.95, (0.76, 0.99))])
    pixels, (axes,) = written(figure), figure.axes

    points = np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == "o"])
    np.testing.assert_allclose(points, [[0.55, 0.25], [0.95, 0.95]])
    assert all(pixel_at(pixels, axes, *point).sum() < 600 for point in points)
    assert pixel_at(pixels, axes, 0.55, 0.75).sum() > 600


def test_the_accuracy_coverage_curve_falls_if_unconfident_predictions_are_incorrect(written):
    confidences, correct = np.linspace(1, 0.5, 100), np.arange(100) < 80

    figure = draw_coverage(confidences, correct)
    pixels, (axes,) = written(figure), figure.axes

    curve = np.array(axes.lines[0].get_xydata())
    np.testing.assert_allclose(curve[[0, -1]], [[0.2, 1], [1, 0.8]])
    assert pixel_at(pixels, axes, 0.9, 80 / 90).sum() < 600
    assert pixel_at(pixels, axes, 0.5, 80 / 90).sum() > 600


def test_each_panel_of_the_robustness_plot_shows_the_accuracies(written):
    names, intervals = [f"corruption {number}" for number in range(7)], np.tile([0.4, 0.95], (7, 6, 1))
    colors = []
    for accuracies in ((0.9, 0.9, 0.8, 0.7, 0.6, 0.5), (0.9,) * 6):
        figure = draw_robustness("title", names, np.tile(accuracies, (7, 1)), intervals)
        pixels = written(figure)
        colors.append([pixel_at(pixels, axes, 4, 0.6) for axes in figure.axes])

    assert len(colors[0]) == 8
    assert all(np.abs(falling - constant).max() > 60 for falling, constant in zip(*colors, strict=True))


def test_incorrect_predictions_have_a_cross_a_color_and_a_thick_frame():
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


def test_25_different_images_are_chosen_reproducibly():
    chosen = choose_images(10_000)

    assert len(set(chosen.tolist())) == 25
    assert chosen.tolist() == choose_images(10_000).tolist()
    assert chosen.max() > 5000
    assert choose_images(3).tolist() == [0, 1, 2]
