"""`saccade predict`."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_line, print_notes
from saccade.cli.ray_options import (
    ClusterUse,
    print_plan,
    print_result,
    require_alone,
    require_out,
    require_ray,
    with_ray_options,
)
from saccade.cli.reading_options import with_listing_options
from saccade.data.reading_options import ReadingOptions
from saccade.sanitize import counted, printable

if TYPE_CHECKING:
    from saccade.inference.model_file import ModelFile
    from saccade.inference.predict import Prediction
    from saccade.inference.selective_prediction import Abstention
    from saccade.runs.run import Run


@click.command("predict")
@click.argument("run", type=click.Path())
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--top", type=click.IntRange(min=1), default=3, show_default=True, help="Number of most probable classes to print."
)
@click.option(
    "--abstain", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="ACCURACY",
    help="Abstain from uncertain predictions, so that the others reach this target accuracy, such as 0.99, on images "
    "like the validation images.",
)  # fmt: skip
@click.option(
    "--ood",
    is_flag=True,
    help="Print the out-of-distribution (OOD) p-value of each image. A low p-value marks an unusual image.",
)
@click.option(
    "--copy-to", metavar="DIR", type=click.Path(path_type=Path),
    help="Copy the images into folders of this new folder by predicted class; abstentions into the folder unsure.",
)  # fmt: skip
@with_ray_options
@with_listing_options
@click.option(
    "--out",
    metavar="DIR",
    help="With --ray: new folder of Parquet files for the predictions, which all nodes share, or s3://BUCKET/KEY.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the predictions as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the predictions as CSV.")
def command(
    run: str,
    images: tuple[str, ...],
    top: int,
    abstain: float | None,
    ood: bool,
    copy_to: Path | None,
    as_json: bool,
    as_csv: bool,
    out: str | None,
    cluster: ClusterUse | None,
    reading: ReadingOptions,
) -> None:
    """Classify images with RUN, a run directory or an exported ONNX or LiteRT file.

    IMAGE is a file, a folder or a glob pattern. DATA:test:0 names the first image of the test split of a dataset; its
    true class is printed, too. In folders and glob patterns, files whose names are not those of images are left out,
    such as labels.csv. The exit code is 1 if an image is unreadable.

    With --ray, IMAGE may also be a label file, a Parquet file with a column of images, or an address such as
    s3://BUCKET/KEY; --image-column and the options after it are for such files. The predictions are written into --out.
    A command that was stopped continues when it is repeated.
    """
    if cluster is not None:
        require_alone(ood=ood, copy_to=copy_to, csv=as_csv)
        _predict_on_cluster(run, images, out, cluster, reading, top, abstain, as_json)
        return
    require_ray(**dataclasses.asdict(reading), out=out)
    if as_json and as_csv:
        raise click.UsageError("--json and --csv cannot be combined.")

    from saccade.inference.image_inputs import find_images
    from saccade.inference.load_model import load_model
    from saccade.inference.predict import predict_found

    if copy_to is not None:
        from saccade.inference.copy_images import require_free_folder

        require_free_folder(copy_to)
    model = load_model(run)
    target_accuracy = _checked_target(model, abstain)
    if ood:
        print_notes(_notes_on_ood(model))
    found = find_images(images)
    print_notes(found.notes)
    predictions = predict_found(model, found, top=top, abstain=target_accuracy, ood=ood, progress=True)
    top = min(top, len(model.class_names))
    show = _print_json if as_json else _print_csv if as_csv else _print_lines
    show(predictions, top)
    if copy_to is not None:
        from saccade.inference.copy_images import copy_by_class

        copied = copy_by_class(predictions, model.class_names, copy_to)
        listed = ", ".join(f"{number:,} to {name}" for name, number in copied.items())
        print_line(f"copied to {printable(str(copy_to))}: {listed or 'no image'}", err=True)
    unreadable = sum(prediction.unreadable_reason is not None for prediction in predictions)
    if unreadable:
        print_line(f"{unreadable:,} of {counted(len(predictions), 'image')} could not be read", err=True)
        raise SystemExit(1)


def _predict_on_cluster(
    run: str,
    images: tuple[str, ...],
    out: str | None,
    cluster: ClusterUse,
    reading: ReadingOptions,
    top: int,
    abstain: float | None,
    as_json: bool,
) -> None:
    from saccade.cluster.predict import PredictionSettings, plan_prediction, predict_on_cluster
    from saccade.inference.load_model import load_model
    from saccade.inference.predict import require_supported

    if cluster.dry_run:
        print_plan(plan_prediction(run, images, out, cluster.options, reading=reading), as_json=as_json)
        return
    out = require_out(out)
    model = load_model(run)
    require_supported(model, abstain=abstain, ood=False)
    target = _checked_target(model, abstain)
    threshold = 0.0 if target is None or isinstance(target, float) else target.threshold
    settings = PredictionSettings(top, threshold)
    result = predict_on_cluster(run, images, out, cluster.options, settings=settings, reading=reading, progress=True)
    print_result(result, as_json=as_json)


def _checked_target(model: Run | ModelFile, abstain: float | None) -> float | Abstention | None:
    """Return the abstention of the target accuracy, and print its threshold or that the run is not calibrated."""
    from saccade.runs.run import Run

    if not isinstance(model, Run):
        return abstain
    calibration = model.calibration()
    if abstain is None:
        if calibration is None:
            print_line("note: the probabilities are not calibrated (temperature 1): no validation images", err=True)
        return None
    from saccade.inference.selective_prediction import fit_abstention

    found = fit_abstention(model, abstain)
    print_notes(_notes_on_target_accuracy(model))
    kind = "out-of-fold image" if calibration and calibration.out_of_fold else "validation image"
    print_line(
        f"abstained below {found.threshold:.1%}: of {counted(found.num_images, kind)} {found.coverage:.1%} are "
        f"predicted, {found.incorrect:,} of them incorrectly (error at most {found.bound:.2%} with 95% confidence)",
        err=True,
    )
    return found


def _notes_on_target_accuracy(run: Run) -> Iterator[str]:
    """Yield a note if the evaluation of the weights shows that test and validation images differ."""
    evaluation = run.evaluation()
    if evaluation is None:
        return
    from saccade.evaluation.distribution_shift import note_on_distribution_shift

    yield from note_on_distribution_shift(run, evaluation.accuracy, evaluation.accuracy_interval)


def _notes_on_ood(model: Run | ModelFile) -> Iterator[str]:
    """Yield a note if the run has too few validation images to mark any image as out of distribution."""
    from saccade.runs.ood_p_value import OOD_THRESHOLD, num_ranked, smallest_p_value
    from saccade.runs.run import Run

    arrays = model.ood_statistics() if isinstance(model, Run) else None
    count = num_ranked(arrays or {})
    if count and smallest_p_value(count) >= OOD_THRESHOLD:
        needed = next(n for n in range(count, 1000) if smallest_p_value(n) < OOD_THRESHOLD)
        yield (
            f"--ood can't mark any image: the run has {counted(count, 'validation image')}, so that no p-value is "
            f"below {smallest_p_value(count):.3f}, and images below {OOD_THRESHOLD} are marked; at least {needed} "
            "validation images are needed: train on more images, or with a larger --set validation_split"
        )


def _print_json(predictions: list[Prediction], _top: int) -> None:
    print_json([dataclasses.asdict(prediction) for prediction in predictions])


def _print_csv(predictions: list[Prediction], top: int) -> None:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    ranks = [name for rank in range(1, top + 1) for name in (f"class_{rank}", f"probability_{rank}")]
    writer.writerow(["image", "true_class", *ranks, "abstained", "ood_p_value", "unreadable_reason"])
    for prediction in predictions:
        cells = [cell for best in prediction.top for cell in (best.class_name, f"{best.probability:.6f}")]
        cells += [""] * (len(ranks) - len(cells))
        names = (printable(prediction.name), printable(prediction.true_class or ""))
        abstained = "" if prediction.unreadable_reason else str(prediction.abstained).lower()
        ood_p_value = "" if prediction.ood_p_value is None else f"{prediction.ood_p_value:.4f}"
        writer.writerow([*names, *cells, abstained, ood_p_value, prediction.unreadable_reason or ""])
    print_line(rows.getvalue().rstrip("\n"))


def _print_lines(predictions: list[Prediction], _top: int) -> None:
    for prediction in predictions:
        if prediction.unreadable_reason is not None:
            print_line(f"{printable(prediction.name)}: unreadable: {prediction.unreadable_reason}")
            continue
        best = ", ".join(f"{one.class_name} {one.probability:.1%}" for one in prediction.top)
        truth = ""
        if prediction.true_class is not None:
            correct = prediction.true_class == prediction.top[0].class_name
            judged = "abstained" if prediction.abstained else "correct" if correct else "incorrect"
            truth = f" (true class: {prediction.true_class}, {judged})"
        text = f"abstained ({best})" if prediction.abstained else best
        if prediction.is_ood:
            text += f"; out of distribution (OOD p-value {prediction.ood_p_value:.3f})"
        elif prediction.ood_p_value is not None:
            text += f"; OOD p-value {prediction.ood_p_value:.3f}"
        print_line(f"{printable(prediction.name)}: {text}{truth}")
