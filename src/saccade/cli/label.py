"""`saccade label`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from saccade.cli.answers_option import answers_option
from saccade.cli.network_options import with_network_options
from saccade.cli.output import print_json, print_line, print_notes
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.labeling.results import ResultFiles
    from saccade.runs.run import Run

_NO_DEARER = 0.9  # fraction of the images
_SECONDS = 3.0  # for an answer


@click.command("label")
@click.argument("data")
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), required=True,
    help="Label file to write at the end, whose name ends in .csv.",
)  # fmt: skip
@click.option(
    "--max-error", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="FRACTION",
    help="Largest fraction of wrong labels. Default: 0.05.",
)  # fmt: skip
@click.option(
    "--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="PROBABILITY",
    help="Probability with which the promise holds. Default: 0.95.",
)  # fmt: skip
@answers_option
@click.option(
    "--labels", metavar="DATA",
    help="Labeled images, as for `saccade train`: those that are in DATA, by their contents, count as answered.",
)  # fmt: skip
@with_network_options
@click.option(
    "--ask-to", metavar="FILE", type=click.Path(path_type=Path),
    help="CSV file to write with the images that a person is to answer next.",
)  # fmt: skip
@click.option(
    "--state", metavar="FILE", type=click.Path(path_type=Path),
    help="File that keeps the labeling. Default: the name of --out with the suffix .sqlite.",
)  # fmt: skip
@click.option(
    "--export-folders", "folders", metavar="FOLDER", type=click.Path(path_type=Path),
    help="Folder to make at the end, with a folder of links for each class.",
)  # fmt: skip
@click.option(
    "--report", metavar="FILE", type=click.Path(path_type=Path),
    help="Markdown file to write at the end, with method and promise in words.",
)  # fmt: skip
@click.option("--page", is_flag=True, help="Answer on a page in the browser, on this machine only. Ctrl-C ends it.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default="any free port", help="Port of the page."
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of all random choices. Default: 0.")
@click.option("--json", "as_json", is_flag=True, help="Print the state as JSON.")
def command(
    data: str,
    out: Path,
    max_error: float | None,
    confidence: float | None,
    answers: tuple[Path, ...],
    labels: str | None,
    network: str | Run | None,
    ask_to: Path | None,
    state: Path | None,
    folders: Path | None,
    report: Path | None,
    page: bool,
    port: int,
    seed: int | None,
    as_json: bool,
) -> None:
    """Label all images of DATA, with a promise on the fraction of wrong labels.

    A person answers for some of the images, a model labels the others. With --page the person answers in the browser.
    Without it the command goes on as far as the answers reach, writes the images that are to be answered next with
    --ask-to, and is called again with their --answers. The promise is about the answers that this person would give
    for these images, not about other images.
    """
    from saccade.labeling.label import Goal, label, label_on_page

    if page and ask_to is not None:
        raise click.UsageError("--page asks in the browser; --ask-to is for files")

    given = {"max_error": max_error, "confidence": confidence, "seed": seed}
    chosen = {name: value for name, value in given.items() if value is not None}
    goal = Goal(**chosen) if chosen else None  # type: ignore[arg-type]
    if page:
        labeling = label_on_page(
            data, goal, out=out, folders=folders, report=report, state=state, answers=answers, labels=labels,
            network=network, port=port, ready=_show_address, written=_show_written, progress=True,
        )  # fmt: skip
    else:
        labeling = label(
            data, goal, out=out, folders=folders, report=report, state=state, answers=answers, labels=labels,
            network=network, ask_to=ask_to, progress=True,
        )  # fmt: skip
    print_notes(labeling.notes)
    if as_json:
        print_json(dataclasses.asdict(labeling))
        return
    images = counted(labeling.num_images, "image")
    print_line(f"{labeling.num_answered:,} of {images} are answered by a person")
    if labeling.phase == "done":
        print_line(f"{labeling.num_by_model:,} labels are by the model")
        print_line(labeling.summary)
        for path in (out, folders, report):
            if path is not None:
                print_line(f"written: {path}")
        return
    expected = labeling.expected_answers
    if expected is None:
        needed, what = labeling.least_answers, "the promise needs at least {} answers"
    else:
        needed, what = round(expected), "expected answers in all, an estimate: {}"
    print_line(what.format(f"{needed:,}") + _time_left(needed - labeling.num_answered))
    if max(labeling.least_answers, expected or 0) > _NO_DEARER * labeling.num_images:
        print_line("to label all images is hardly dearer: few images, or a small largest error", err=True)
    if page:
        print_line("the answers are kept; the same command goes on")
        return
    purpose = {"learn": "to learn", "sample": "for the promise", "threshold": "too uncertain for the model"}
    number = counted(len(labeling.questions), "image")
    print_line(f"to be answered next, {purpose[labeling.phase]}: {number}")
    print_line(f"written: {ask_to}" if ask_to else "--ask-to FILE writes them into a list", err=ask_to is None)


def _time_left(answers: int) -> str:
    if answers < 1:
        return ""
    minutes = counted(max(1, round(answers * _SECONDS / 60)), "minute")
    return f"; {answers:,} to go, about {minutes} at {_SECONDS:g} seconds each"


def _show_written(files: ResultFiles) -> None:
    later = [str(path) for path in (files.report, files.folders) if path is not None]
    print_line(f"all answers are there; written: {files.labels}", err=True)
    print_line(f"Ctrl-C ends the page{', and writes ' + ' and '.join(later) if later else ''}", err=True)


def _show_address(address: str) -> None:
    print_line(f"label at {address}", err=True)
    print_line("Ctrl-C ends the page; answers are kept at once", err=True)
