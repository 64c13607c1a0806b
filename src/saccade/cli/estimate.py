"""`saccade estimate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from saccade.cli.answers_option import answers_option
from saccade.cli.output import print_json, print_line, print_notes, print_table
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.labeling.accuracy_estimate import AccuracyEstimate
    from saccade.labeling.predicted_data import OodShare


@click.command("estimate")
@click.argument("run")
@click.argument("data")
@click.option("--ask", type=click.IntRange(min=1), help="Number of images to ask. Default: 200.")
@click.option(
    "--ask-to", metavar="FILE", type=click.Path(path_type=Path),
    help="CSV file to write with the images that a person is to answer.",
)  # fmt: skip
@answers_option
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path),
    help="Label file to write with the answers, whose name ends in .csv.",
)  # fmt: skip
@click.option(
    "--state", metavar="FILE", type=click.Path(path_type=Path),
    help="File that keeps the estimate. Default: estimate-RUN-DATA.sqlite in the current folder.",
)  # fmt: skip
@click.option(
    "--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="PROBABILITY",
    help="Confidence of the intervals. Default: 0.95.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the random sample. Default: 0.")
@click.option("--json", "as_json", is_flag=True, help="Print the estimate as JSON.")
def command(
    run: str,
    data: str,
    ask: int | None,
    ask_to: Path | None,
    answers: tuple[Path, ...],
    out: Path | None,
    state: Path | None,
    confidence: float | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Estimate the accuracy of RUN on exactly the unlabeled images of DATA, from few answers.

    The first call draws the images to ask and writes them with --ask-to. A person fills in the labels, and the second
    call computes the estimate from them: --answers. "?" means not sure, "-" none of the classes; both count as errors
    of the run.
    """
    from saccade.labeling.estimate import Sample, estimate

    given = {"ask": ask, "confidence": confidence, "seed": seed}
    chosen = {name: value for name, value in given.items() if value is not None}
    sample = Sample(**chosen) if chosen else None  # type: ignore[arg-type]
    found = estimate(run, data, sample, out=out, state=state, answers=answers, ask_to=ask_to, progress=True)
    print_notes(found.notes)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    print_line(f"{found.num_answered:,} of {counted(found.num_asked, 'image')} to ask are answered by a person")
    if found.accuracy is not None and found.interval is not None:
        _print_accuracy(found, found.accuracy, found.interval)
        if out is not None:
            print_line(f"written: {out}")
    else:
        print_line(f"mean confidence of the run on these images: {found.mean_confidence:.1%}")
        print_line(f"written: {ask_to}" if ask_to else "--ask-to FILE writes the images to ask", err=ask_to is None)
    if found.ood is not None:
        _print_ood(found.ood)


def _print_accuracy(found: AccuracyEstimate, accuracy: float, interval: tuple[float, float]) -> None:
    low, high = interval
    print_line(
        f"accuracy on these {found.num_images:,} images: {accuracy:.1%} ({100 * found.confidence:.4g}% interval "
        f"{low:.1%} to {high:.1%}); mean confidence of the run {found.mean_confidence:.1%}"
    )
    print_line(found.comparison)
    rows = [
        (one.class_name, f"{one.num_images:,}", f"{one.num_answered:,}", f"{one.precision:.1%}",
         f"{one.interval[0]:.1%} to {one.interval[1]:.1%}")
        for one in found.classes
        if one.precision is not None and one.interval is not None
    ]  # fmt: skip
    if rows:
        print_table(("predicted class", "images", "answers", "precision", "interval"), rows)
    left = sum(one.precision is None and one.num_images > 0 for one in found.classes)
    if left:
        print_line(f"{counted(left, 'predicted class', 'predicted classes')} with too few answers for a precision")
    print_line(found.summary)


def _print_ood(ood: OodShare) -> None:
    print_line(
        f"{ood.share:.1%} of these images lie beyond the OOD score that {ood.test_share:.1%} of the test split exceed; "
        f"the {len(ood.farthest)} farthest:"
    )
    for name in ood.farthest:
        print_line(f"  {name}")
