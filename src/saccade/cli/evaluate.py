"""`saccade evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_notes, print_refused, print_table, say

if TYPE_CHECKING:
    from saccade.data.dataset import SplitName
    from saccade.evaluation.metrics import Scores
    from saccade.evaluation.report import Report

_MOST_CLASSES = 30


@click.command("evaluate")
@click.argument("run", type=click.Path())
@click.option("--data", metavar="DATA", help="Other data of the same classes. Default: what RUN was trained on.")
@click.option(
    "--split", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True,
    help="Which pictures to score.",
)  # fmt: skip
@click.option("--fixes", metavar="FILE", help="Apply this fixes.csv. Default: the one RUN was trained with.")
@click.option("--strict", is_flag=True, help="Fail if a picture can't be read, instead of leaving it out.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def command(run: str, data: str | None, split: SplitName, fixes: str | None, strict: bool, as_json: bool) -> None:
    """Measure RUN on the pictures of a split, each scored exactly once.

    Writes report.json, confusion_matrix.png and predictions.png into RUN; their names tell where it was not the test
    split of RUN's own data.
    """
    from saccade.runs.run import Run

    opened = Run.open(run)

    from saccade.evaluation.evaluate import evaluate

    report = evaluate(opened, data=data, split=split, fixes=fixes, strict=strict, progress=True)
    if as_json:
        print_json(report.to_dict())
        return
    print_notes(report.notes)
    _print_numbers(report)
    if len(report.class_names) <= _MOST_CLASSES:
        _print_classes(report)
    _print_confused(report)
    say("\nwritten:")
    for path in report.files:
        say(f"  {path}")


def _print_numbers(report: Report) -> None:
    low, high = report.accuracy_interval
    say(f"{report.data_name}, {report.split} split: {report.scored} pictures scored, each once\n")
    if report.refused:
        say("not scored, because they can't be read:")
        print_refused(report.refused, "all of them are in the report")
        say()
    views = f"; mean answer over {report.views} views" if report.one_view else ""
    say(
        f"accuracy           {report.accuracy:7.2%}  (95% interval {low:.2%} to {high:.2%}, n = {report.scored}{views})"
    )
    if report.one_view:
        low, high = report.one_view.accuracy_interval
        say(f"  with one view    {report.one_view.accuracy:7.2%}  (95% interval {low:.2%} to {high:.2%})")
    say(f"balanced accuracy  {report.balanced_accuracy:7.2%}")
    say(f"top-3 accuracy     {report.top3_accuracy:7.2%}")
    say(f"log-loss           {report.log_loss:7.4f}  nats")
    say(f"calibration error  {report.expected_calibration_error:7.2%}  (expected, 15 bins)")


def _print_classes(report: Report) -> None:
    say()
    rows = [_row(name, scores) for name, scores in report.per_class.items()]
    rows += [_row(f"({name} average)", scores) for name, scores in report.averages.items()]
    print_table(("class", "precision", "recall", "F1", "pictures"), rows)


def _row(name: str, scores: Scores) -> tuple[str, ...]:
    return (name, f"{scores.precision:.3f}", f"{scores.recall:.3f}", f"{scores.f1:.3f}", f"{scores.pictures:,}")


def _print_confused(report: Report) -> None:
    confused = report.most_confused()
    if confused:
        say("\nmost often confused:")
    for pair in confused:
        say(f"  {pair.true} taken for {pair.predicted}: {pair.pictures:,}")
