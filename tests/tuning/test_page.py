"""Contents of tuning.html, and escaping of names from files."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.tuning.studies import POOR

from saccade.recipes import get_recipe
from saccade.recipes.search_space import Choices, Range, SearchSpace
from saccade.tuning.page import tuning_page
from saccade.tuning.result import Trial, Tuning

SPACE: SearchSpace = {
    "learning_rate": Range(low=1e-4, high=1e-2, log=True),
    "batch_size": Range(low=16, high=64, whole=True),
    "horizontal_flip": Choices(values=(True, False)),
    "optimizer": Choices(values=("adam",)),
}


def trial(number, rate, batch, flip, *, state="complete", accuracy=0.5, reason=None):
    settings = {"learning_rate": rate, "batch_size": batch, "horizontal_flip": flip, "optimizer": "adam"}
    return Trial(number, settings, state, accuracy, (0.1, 0.2), 2.0, reason)


TRIALS = (
    Trial(0, {"horizontal_flip": True, "optimizer": "adam"}, "complete", 0.4, (0.3, 0.4), 2.0),
    trial(1, 1e-4, 16, True, accuracy=0.75),
    trial(2, 1e-2, 64, False, accuracy=0.6),
    trial(3, 1e-3, 33, False, state="pruned", accuracy=0.2),
    trial(4, 1e-3, 32, False, state="failed", accuracy=None, reason="the training <diverged>"),
)
TUNING = Tuning(
    folder=Path("study"),
    data_name="photos",
    data_source="/data/my photos",
    recipe=POOR,
    space=SPACE,
    num_validation_images=36,
    trials=TRIALS,
    importances={"learning_rate": 0.7, "batch_size": 0.3, "horizontal_flip": 0.0, "optimizer": 0.0},
    comparison=None,
    state="finished",
    notes=(),
    files=(),
)


def cells(page):
    """Return the rows of the last table as text."""
    table = page[page.rindex("<tbody>") :]
    return [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr.*?</tr>", table)]


def test_the_page_lists_all_trials_the_best_first():
    rows = cells(tuning_page(TUNING))
    assert [row[0] for row in rows] == ["1", "2", "0", "3", "4"]
    assert rows[0] == ["1", "75.00%", "complete", "0.0001", "16", "true", "adam", "2"]
    # The values of the first trial outside the search space are those of the recipe.
    assert rows[2][3:5] == ["1e-07", "32"]
    assert rows[3][2] == "pruned after 2"
    assert rows[4][1:3] == ["", "failed: the training &lt;diverged&gt;"]


def test_the_three_plots_are_described():
    page = tuning_page(TUNING)
    labels = re.findall(r'role="img" aria-label="([^"]+)"', page)
    assert [label.split()[0] for label in labels] == ["Validation", "The", "Each"]
    assert "70%" in page
    few = tuning_page(replace(TUNING, importances={}))
    assert "too few complete trials" in few


def test_the_command_trains_the_best_settings():
    assert TUNING.command.startswith("saccade train '/data/my photos' --recipe folder --set ")
    settings = dict(part.split("=") for part in re.findall(r"--set (\S+)", TUNING.command))
    assert get_recipe("folder").with_settings(settings) == TUNING.best_recipe


@pytest.mark.parametrize("trials", [(), TRIALS[4:], TRIALS[:1]])
def test_the_page_of_an_interrupted_study_with_few_trials(trials):
    page = tuning_page(replace(TUNING, trials=trials, state="interrupted", importances={}))
    assert "The study is interrupted." in page


def test_names_from_files_are_escaped():
    nasty = "<script>alert(1)</script>$x$"
    page = tuning_page(replace(TUNING, data_name=nasty, data_source=nasty, notes=(nasty,)))
    assert "<script>" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 3
