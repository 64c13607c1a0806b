"""`saccade evaluate`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_line, print_notes, print_table, print_unreadable
from saccade.cli.ray_options import (
    ClusterUse,
    print_plan,
    require_alone,
    require_out,
    require_ray,
    with_ray_options,
)
from saccade.cli.reading_options import with_reading_options
from saccade.data.reading_options import ReadingOptions
from saccade.sanitize import counted, plural

if TYPE_CHECKING:
    from saccade.data.dataset import SplitName
    from saccade.evaluation.by_value import ValueScore
    from saccade.evaluation.metrics import Scores
    from saccade.evaluation.result import Report
    from saccade.evaluation.robustness.robustness import Robustness
    from saccade.evaluation.two_classes import ThresholdScores
    from saccade.inference.model_file import ModelFile
    from saccade.runs.run import Run

_MAX_CLASSES = 30


@click.command("evaluate")
@click.argument("run", type=click.Path())
@click.option("--data", metavar="DATA", help="Other data with the same classes. Default: the data of RUN.")
@click.option(
    "--split", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True,
    help="Split to evaluate.",
)  # fmt: skip
@click.option("--fixes", metavar="FILE", help="fixes.csv to apply. Default: the one that RUN was trained with.")
@click.option("--by", metavar="COLUMN", help="Accuracy for each value of this column of the label file, too.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), metavar="P",
    help="Of two classes: the confusion if the second class is predicted from this probability on.",
)  # fmt: skip
@with_reading_options
@click.option("--strict", is_flag=True, help="Fail if an image is unreadable, instead of leaving it out.")
@click.option(
    "--corruptions", is_flag=True, help="Measure only the accuracy on corrupted images (noise, blur and others)."
)
@with_ray_options
@click.option(
    "--out", metavar="DIR",
    help="With --ray: new folder of Parquet files for the predictions, which all nodes share, or s3://BUCKET/KEY.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def command(
    run: str,
    data: str | None,
    split: SplitName,
    fixes: str | None,
    by: str | None,
    threshold: float | None,
    reading: ReadingOptions,
    strict: bool,
    corruptions: bool,
    cluster: ClusterUse | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Measure accuracy, calibration and other metrics of RUN on a split.

    RUN is a run directory or an exported ONNX or LiteRT file. Each image of the split is scored exactly once.

    Other data, named by --data, is scored as a whole unless it has a test split. Images that RUN was trained or
    validated on are counted and not scored.

    For a run, the command writes report.json, predictions.safetensors, confusion_matrix.png and predictions.png into
    RUN. The files of another split or of other data have other names, such as report-validation.json. For an exported
    file, the command requires --data and only prints the metrics.

    With --corruptions the command measures the accuracy on images with noise, blur, changed brightness, reduced
    contrast, JPEG compression, shift and rotation, at five strengths each. This takes 36 times as long. The command
    then writes robustness.json and robustness.png.

    With --ray the images of --data, a folder or a label file, are predicted on a cluster: the command
    writes the predictions into --out and prints the metrics. A command that was stopped continues when it is repeated.
    """
    if cluster is not None:
        require_alone(fixes=fixes, by=by, strict=strict, corruptions=corruptions, split=split != "test")
        require_alone(stream=reading.stream, archive_encoding=reading.archive_encoding)
        _evaluate_on_cluster(run, data, out, cluster, reading, threshold, as_json)
        return
    require_ray(out=out)
    if corruptions:
        from saccade.runs.run import Run

        opened = Run.open(run)  # fails before the slow imports if RUN is not a run

        from saccade.evaluation.robustness.robustness import measure_robustness

        robustness = measure_robustness(opened, data=data, split=split, fixes=fixes, strict=strict, progress=True)
        if as_json:
            print_json(robustness.to_dict())
        else:
            _print_robustness(robustness)
        return

    from saccade.inference.load_model import load_model

    model = load_model(run)  # fails before the slow imports if RUN is not a model
    if by is not None:
        _check_column(model, data, by, reading)

    from saccade.evaluation.evaluate import evaluate

    report = evaluate(run, data=data, split=split, fixes=fixes, reading=reading, strict=strict, progress=True)
    by_value: Sequence[ValueScore] = ()
    if by is not None:
        from saccade.evaluation.by_value import score_by_column

        by_value = score_by_column(report, by, _reading_of(run) if data is None else reading)
    at_threshold = None if threshold is None else report.at_threshold(threshold)
    if as_json:
        scores = {} if by is None else {"by": {"column": by, "values": [asdict(score) for score in by_value]}}
        print_json({**report.to_dict(), **scores, **({"at_threshold": asdict(at_threshold)} if at_threshold else {})})
        return
    _print_report(report, at_threshold)
    if by is not None:
        _print_by(by, by_value)
    if report.files:
        _print_files(report.files)


def _print_report(report: Report, at_threshold: ThresholdScores | None) -> None:
    print_notes(report.notes)
    _print_numbers(report)
    _print_folds(report)
    if len(report.class_names) <= _MAX_CLASSES:
        _print_classes(report)
    _print_confused(report)
    if at_threshold is not None:
        _print_threshold(at_threshold)


def _evaluate_on_cluster(
    run: str,
    data: str | None,
    out: str | None,
    cluster: ClusterUse,
    reading: ReadingOptions,
    threshold: float | None,
    as_json: bool,
) -> None:
    if data is None:
        raise click.UsageError("--ray needs --data DATA.")
    from saccade.cluster.evaluate import evaluate_on_cluster, plan_evaluation

    if cluster.dry_run:
        print_plan(plan_evaluation(run, data, out, cluster.options, reading=reading), as_json=as_json)
        return
    evaluation = evaluate_on_cluster(run, data, require_out(out), cluster.options, reading=reading, progress=True)
    report = evaluation.report
    at_threshold = None if threshold is None else report.at_threshold(threshold)
    if as_json:
        shown = {"at_threshold": asdict(at_threshold)} if at_threshold else {}
        print_json({**report.to_dict(), **shown, "predictions": evaluation.result.to_dict()})
        return
    _print_report(report, at_threshold)
    print_line(f"\nwritten:\n  {evaluation.result.out}")


def _check_column(model: Run | ModelFile, data: str | None, by: str, reading: ReadingOptions) -> None:
    """Require the column of --by before the images are scored."""
    from saccade.data.load import require_column
    from saccade.runs.run import Run

    if data is not None:
        require_column(data, by, reading)
    elif isinstance(model, Run):
        require_column(model.data_source, by, model.data.reading)


def _reading_of(run: str) -> ReadingOptions:
    from saccade.runs.run import Run

    return Run.open(run).data.reading


def _print_robustness(robustness: Robustness) -> None:
    print_notes(robustness.notes)
    low, high = robustness.accuracy_interval
    print_line(f"{robustness.data_name}, {robustness.split} split: {counted(robustness.n, 'image')}\n")
    print_line(
        f"accuracy on the original images      {robustness.accuracy:.2%}  (95% interval {low:.2%} to {high:.2%})"
    )
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
        print_line("not scored, because they are unreadable:")
        print_unreadable(report.unreadable, "report.json lists all of them")
        print_line()
    tta_note = f"; test-time augmentation, {report.tta_views} views" if report.without_tta else ""
    print_line(
        f"accuracy           {report.accuracy:7.2%}  "
        f"(95% interval {low:.2%} to {high:.2%}, n = {report.scored}{tta_note})"
    )
    if report.without_tta:
        low, high = report.without_tta.accuracy_interval
        print_line(f"  without TTA      {report.without_tta.accuracy:7.2%}  (95% interval {low:.2%} to {high:.2%})")
    print_line(f"balanced accuracy  {report.balanced_accuracy:7.2%}")
    print_line(f"top-3 accuracy     {report.top3_accuracy:7.2%}")
    print_line(f"log-loss           {report.log_loss:7.4f}  nats")
    found = report.calibration
    if found:
        temperature = f"{found.temperature:.3g}, fitted on {found.fitted_on}"
    else:
        temperature = "1: not calibrated" if report.temperature == 1 else f"{report.temperature:.3g}"
    print_line(
        f"calibration error  {report.expected_calibration_error:7.2%}  (expected, 15 bins; temperature {temperature})"
    )


def _print_folds(report: Report) -> None:
    """Print the out-of-fold accuracy of a cross-validated run. A model file has none."""
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
    if not scores.num_images:
        return (name, "-", "-", "-", "0")
    return (name, f"{scores.precision:.3f}", f"{scores.recall:.3f}", f"{scores.f1:.3f}", f"{scores.num_images:,}")


def _print_threshold(scores: ThresholdScores) -> None:
    print_line(f"\n{scores.positive} predicted from a probability of {scores.threshold:g} on:")
    print_table(
        ("true class", f"predicted {scores.negative}", f"predicted {scores.positive}"),
        [
            (scores.negative, f"{scores.true_negatives:,}", f"{scores.false_positives:,}"),
            (scores.positive, f"{scores.false_negatives:,}", f"{scores.true_positives:,}"),
        ],
    )
    for name, of, value, interval in (
        ("sensitivity", scores.positive, scores.sensitivity, scores.sensitivity_interval),
        ("specificity", scores.negative, scores.specificity, scores.specificity_interval),
    ):
        if value is not None and interval is not None:
            low, high = interval
            print_line(f"{name} {value:.2%} (95% interval {low:.2%} to {high:.2%}): {of} predicted as {of}")


def _print_by(column: str, scores: Sequence[ValueScore]) -> None:
    print_line(f"\naccuracy by {column}:")
    rows = []
    for score in sorted(scores, key=lambda score: -score.n)[:_MAX_CLASSES]:
        low, high = score.accuracy_interval
        rows.append((score.value or "(none)", f"{score.n:,}", f"{score.accuracy:.2%}", f"{low:.2%} to {high:.2%}"))
    print_table((column, "images", "accuracy", "95% interval"), rows)
    if len(scores) > _MAX_CLASSES:
        print_line(f"and {len(scores) - _MAX_CLASSES:,} more values; --json lists them all")
    different = [score for score in scores if score.differs]
    for score in different:
        if score.others_accuracy is not None:
            side = "lower" if score.accuracy < score.others_accuracy else "higher"
            others = f"{side} than on the other images, {score.others_accuracy:.2%}"
            print_line(f"{score.value or '(none)'}: {others}, beyond chance (adjusted p = {score.adjusted_p:.2g})")
    if not different:
        print_line("no value differs from the other images beyond chance (Fisher's exact test, adjusted by Holm)")


def _print_confused(report: Report) -> None:
    confused = report.most_confused()
    if confused:
        print_line("\nmost often confused:")
    for pair in confused:
        print_line(f"  {pair.true} predicted as {pair.predicted}: {pair.num_images:,}")
