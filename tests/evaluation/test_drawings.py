"""The drawings hold what they should; how they look was judged by eye."""

import numpy as np
import pytest
from PIL import Image

from saccade.data.figures import save_figure
from saccade.evaluation.drawings import choose_pictures, draw_confusion_matrix, draw_predictions


@pytest.mark.parametrize("classes", [2, 26, 130])
def test_a_confusion_matrix_of_any_size_becomes_a_png(tmp_path, classes):
    matrix = np.random.default_rng(0).poisson(1, (classes, classes))
    matrix[0] = 0

    save_figure(draw_confusion_matrix(matrix, [f"class {i}" for i in range(classes)], "title"), tmp_path / "m.png")

    with Image.open(tmp_path / "m.png") as picture:
        assert picture.format == "PNG"
        assert 400 <= picture.width <= 3000
        assert 400 <= picture.height <= 3000


def test_the_confusion_matrix_shows_counts_names_and_title():
    figure = draw_confusion_matrix(np.array([[13, 0], [7, 21]]), ["cat", "dog"], "a title")
    axes = figure.axes[0]

    assert {text.get_text() for text in axes.texts} == {"13", "7", "21"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert axes.get_title() == "a title"
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true class", "predicted class")


def test_class_names_that_are_no_plain_text_can_be_drawn(tmp_path):
    names = ["$\\frac{", "猫", "two\nlines", "a" * 300]
    matrix = np.eye(4, dtype=np.int64)
    pictures = np.zeros((4, 8, 8, 3), np.uint8)

    save_figure(draw_confusion_matrix(matrix, names, "$\\frac{"), tmp_path / "m.png")
    save_figure(draw_predictions(pictures, np.arange(4), np.eye(4, dtype=np.float32), names, "$x"), tmp_path / "p.png")

    assert (tmp_path / "m.png").stat().st_size > 0
    assert (tmp_path / "p.png").stat().st_size > 0


def test_wrong_pictures_are_marked_by_a_cross_a_colour_and_a_frame():
    pictures = np.zeros((2, 8, 8, 3), np.uint8)
    probabilities = np.array([[0.9, 0.1], [0.75, 0.25]], np.float32)

    figure = draw_predictions(pictures, np.array([0, 1]), probabilities, ["cat", "dog"], "title")
    (axes,) = figure.axes
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    right, wrong = axes.patches

    assert list(colours) == ["true: cat", "✓ cat 90%", "true: dog", "✗ cat 75%"]
    assert colours["✗ cat 75%"] != colours["✓ cat 90%"]
    assert wrong.get_linewidth() > right.get_linewidth()
    assert wrong.get_window_extent().x0 > right.get_window_extent().x1


def test_the_chosen_pictures_are_25_different_ones_and_always_the_same():
    chosen = choose_pictures(10_000)

    assert len(set(chosen.tolist())) == 25
    assert chosen.tolist() == choose_pictures(10_000).tolist()
    assert chosen.max() > 5000
    assert choose_pictures(3).tolist() == [0, 1, 2]
