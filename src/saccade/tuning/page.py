"""Output of a tuning: tuning.html, a page in a single file, and result.json for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from saccade.atomic_io import atomic_write, write_json
from saccade.html.render import figure_markup, render
from saccade.recipes.search_space import Value, text_of
from saccade.tuning.plots import draw_importances, draw_parallel_coordinates, draw_progress
from saccade.tuning.result import Trial, Tuning


def write_tuning(tuning: Tuning) -> Tuning:
    """Write tuning.html and result.json atomically into the directory of the study, over those of an earlier call.

    Returns:
        Tuning with the paths of these files and of the files of the comparison.
    """
    folder = tuning.folder.resolve()
    page, numbers = folder / "tuning.html", folder / "result.json"
    compared = tuning.comparison.files if tuning.comparison else ()
    written = replace(tuning, files=(page, numbers, *compared))
    with atomic_write(page) as path:
        path.write_text(tuning_page(written), encoding="utf-8")
    write_json(numbers, written.to_dict())
    return written


def tuning_page(tuning: Tuning) -> str:
    """Return the page as HTML."""
    best = tuning.best
    return render(
        "tuning.html",
        tuning=tuning,
        best=best,
        default=tuning.trials[0] if tuning.trials else None,
        counts={state: sum(trial.state == state for trial in tuning.trials) for state in ("pruned", "failed")},
        space={key: (str(dimension), _recipe_value(tuning, key)) for key, dimension in tuning.space.items()},
        groups=tuning.comparison.groups if tuning.comparison else (),
        pair=tuning.comparison.pairs[0] if tuning.comparison else None,
        rows=[_row(trial, tuning) for trial in sorted(tuning.trials, key=_rank)],
        minutes=sum(trial.seconds for trial in tuning.trials) / 60,
        plots={} if best is None else _plots(tuning, best),
    )


def _recipe_value(tuning: Tuning, key: str) -> str:
    return text_of(getattr(tuning.recipe, key))


def _rank(trial: Trial) -> tuple[bool, float, int]:
    """Return the sort key of a trial: complete trials first, then by decreasing accuracy."""
    return trial.state != "complete", -(trial.accuracy or 0.0), trial.number


def _row(trial: Trial, tuning: Tuning) -> dict[str, Any]:
    settings: Mapping[str, Value] = trial.settings
    texts = {key: text_of(settings[key]) if key in settings else _recipe_value(tuning, key) for key in tuning.space}
    return {"trial": trial, "settings": texts}


def _plots(tuning: Tuning, best: Trial) -> dict[str, Markup]:
    plots = {
        "progress": figure_markup(
            draw_progress(tuning.trials), "Validation accuracy of each trial and best accuracy so far."
        ),
        "coordinates": figure_markup(
            draw_parallel_coordinates(tuning.trials, tuning.space, best),
            "Each trial as a line from its settings to its validation accuracy.",
        ),
    }
    if tuning.importances:
        plots["importances"] = figure_markup(
            draw_importances(tuning.importances), "The importance of each key for the accuracy."
        )
    return plots
