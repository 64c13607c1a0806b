"""`saccade evaluate`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_line, print_notes, print_table, print_unreadable
from saccade.sanitize import counted, plural

if TYPE_CHECKING:
    from saccade.data.dataset import SplitName
    from saccade.evaluation.metrics import Scores
    from saccade.evaluation.result import Report
    from saccade.evaluation.robustness.robustness import Robustness

_MOST_CLASSES = 30


@click.command("evaluate")
@click.argument("run", type=click.Path())
@click.option("--data", metavar="DATA", help="Other data of the same classes. Default: what RUN was trained on.")
@click.option(
    "--split", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True,
    help="Which images to score.",
)  # fmt: skip
@click.option("--fixes", metavar="FILE", help="Apply this fixes.csv. Default: the one RUN was trained with.")
@click.option("--strict", is_flag=True, help="Fail if an image can't be read, instead of leaving it out.")
@click.option("--corruptions", is_flag=True, help="Measure how accuracy falls as images get worse, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def command(
    run: str, data: str | None, split: SplitName, fixes: str | None, strict: bool, corruptions: bool, as_json: bool
) -> None:
    """Measure RUN, a run or an exported ONNX or LiteRT file, on the images of a split, each scored exactly once.

    Writes report.json, predictions.safetensors, confusion_matrix.png and predictions.png into RUN; their names tell
    where it was not the test split of RUN's own data. Of such a file the numbers are only printed, and it needs --data.

    With --corruptions RUN is scored on images with noise, blur, other brightness, less contrast, JPEG compression,
    shifted and turned, in five strengths each, which takes 36 times as long; writes robustness.json and robustness.png.
    """
    if corruptions:
        from saccade.runs.run import Run

        opened = Run.open(run)  # what is none is refused at once

        from saccade.evaluation.robustness.robustness import measure_robustness

        robustness = measure_robustness(opened, data=data, split=split, fixes=fixes, strict=strict, progress=True)
        if as_json:
            print_json(robustness.to_dict())
        else:
            _print_robustness(robustness)
        return

    from saccade.inference.load_model import load_model

    load_model(run)  # what is none is refused at once

    from saccade.evaluation.evaluate import evaluate

    report = evaluate(run, data=data, split=split, fixes=fixes, strict=strict, progress=True)
    if as_json:
        print_json(report.to_dict())
        return
    print_notes(report.notes)
    _print_numbers(report)
    _print_folds(report)
    if len(report.class_names) <= _MOST_CLASSES:
        _print_classes(report)
    _print_confused(report)
    if report.files:
        _print_files(report.files)


def _print_robustness(robustness: Robustness) -> None:
    print_notes(robustness.notes)
    low, high = robustness.accuracy_interval
    print_line(f"{robustness.data_name}, {robustness.split} split: {counted(robustness.n, 'image')}\n")
    print_line(f"accuracy on the images as they are  {robustness.accuracy:.2%}  (95% interval {low:.2%} to {high:.2%})")
    print_line(f"mean over all corruptions           {robustness.mean:.2%}\n")
    rows = [
        (corrupted.name, *(f"{accuracy:.1%}" for accuracy in (*corrupted.accuracies, corrupted.mean)))
        for corrupted in robustness.corruptions
    ]
    print_table(("strength", "1", "2", "3", "4", "5", "mean"), rows)
    print_line("\nthe strengths are:")
    for corrupted in robustness.corruptions:
        amounts = ", ".join(f"{amount:g}" for amount in corrupted.amounts)
        print_line(f"  {corrupted.name}: {amounts} ({corrupted.unit})")
    _print_files(robustness.files)


def _print_files(files: Iterable[Path]) -> None:
    print_line("\nwritten:")
    for path in files:
        print_line(f"  {path}")


def _print_numbers(report: Report) -> None:
    low, high = report.accuracy_interval
    scored = f"{report.scored} {plural(report.total, 'image')}"
    print_line(f"{report.data_name}, {report.split} split: {scored} scored, each once\n")
    if report.unreadable:
        print_line("not scored, because they can't be read:")
        print_unreadable(report.unreadable, "all of them are in the report")
        print_line()
    tta_note = f"; mean answer over {report.tta_views} views" if report.without_tta else ""
    print_line(
        f"accuracy           {report.accuracy:7.2%}  "
        f"(95% interval {low:.2%} to {high:.2%}, n = {report.scored}{tta_note})"
    )
    if report.without_tta:
        low, high = report.without_tta.accuracy_interval
        print_line(f"  with one view    {report.without_tta.accuracy:7.2%}  (95% interval {low:.2%} to {high:.2%})")
    print_line(f"balanced accuracy  {report.balanced_accuracy:7.2%}")
    print_line(f"top-3 accuracy     {report.top3_accuracy:7.2%}")
    print_line(f"log-loss           {report.log_loss:7.4f}  nats")
    found = report.calibration
    if found:
        temperature = f"{found.temperature:.3g}, of {found.fitted_on}"
    else:
        temperature = "1: not calibrated" if report.temperature == 1 else f"{report.temperature:.3g}"
    print_line(
        f"calibration error  {report.expected_calibration_error:7.2%}  (expected, 15 bins; temperature {temperature})"
    )


def _print_folds(report: Report) -> None:
    """What the run's cross-validation said before; a model file has none."""
    from saccade.runs.run import Run

    folds = Run.open(report.run).folds() if report.files else None
    if folds is not None:
        print_line(f"cross-validated    {folds.summary}")


def _print_classes(report: Report) -> None:
    print_line()
    rows = [_row(name, scores) for name, scores in report.per_class.items()]
    rows += [_row(f"({name} average)", scores) for name, scores in report.averages.items()]
    print_table(("class", "precision", "recall", "F1", "images"), rows)


def _row(name: str, scores: Scores) -> tuple[str, ...]:
    return (name, f"{scores.precision:.3f}", f"{scores.recall:.3f}", f"{scores.f1:.3f}", f"{scores.num_images:,}")


def _print_confused(report: Report) -> None:
    confused = report.most_confused()
    if confused:
        print_line("\nmost often confused:")
    for pair in confused:
        print_line(f"  {pair.true} taken for {pair.predicted}: {pair.num_images:,}")
