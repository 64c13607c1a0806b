"""`saccade predict`."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_notes, say
from saccade.sanitize import counted, printable

if TYPE_CHECKING:
    from saccade.inference.model_file import ModelFile
    from saccade.inference.predict import Prediction
    from saccade.inference.selective_prediction import Abstention
    from saccade.runs.run import Run


@click.command("predict")
@click.argument("run", type=click.Path())
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many classes to show.")
@click.option(
    "--abstain", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="PART",
    help="Say 'unsure' so that at least this part of the answers is right, such as 0.99, on pictures drawn like the "
    "validation pictures.",
)  # fmt: skip
@click.option("--familiarity", is_flag=True, help="Tell how much like the training pictures each picture is.")
@click.option("--json", "as_json", is_flag=True, help="Print the predictions as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the predictions as CSV.")
def command(
    run: str, pictures: tuple[str, ...], top: int, abstain: float | None, familiarity: bool, as_json: bool, as_csv: bool
) -> None:
    """Classify pictures with RUN, a run or an exported ONNX or LiteRT file.

    PICTURE is a file, a folder, a glob, or DATA:test:0 for one of a dataset's own pictures, whose true class is then
    shown as well. Of folders and globs, files that are no pictures by name, such as labels.csv, are left out. The exit
    code is 1 if any picture could not be read.
    """
    if as_json and as_csv:
        raise click.UsageError("Give either --json or --csv.")

    from saccade.inference.image_inputs import find_pictures
    from saccade.inference.load_model import open_model
    from saccade.inference.predict import predict_found

    model = open_model(run)
    promise = _promised(model, abstain)
    found = find_pictures(pictures)
    print_notes(found.notes)
    predictions = predict_found(model, found, top=top, abstain=promise, familiarity=familiarity, progress=True)
    top = min(top, len(model.class_names))
    show = _print_json if as_json else _print_csv if as_csv else _print_lines
    show(predictions, top)
    refused = sum(prediction.refusal is not None for prediction in predictions)
    if refused:
        say(f"{refused:,} of {counted(len(predictions), 'picture')} could not be read", err=True)
        raise SystemExit(1)


def _promised(model: Run | ModelFile, abstain: float | None) -> float | Abstention | None:
    """What a promise takes, told; or, where none is asked for, whether the probabilities mean anything."""
    from saccade.runs.run import Run

    if not isinstance(model, Run):
        return abstain
    calibration = model.calibration()
    if abstain is None:
        if calibration is None:
            say("note: the probabilities are not calibrated (temperature 1): no validation pictures", err=True)
        return None
    from saccade.inference.selective_prediction import abstention_of

    found = abstention_of(model, abstain)
    print_notes(_notes_on_promise(model))
    kind = "out-of-fold picture" if calibration and calibration.out_of_fold else "validation picture"
    say(
        f"unsure below {found.threshold:.1%}: of {counted(found.pictures, kind)} {found.coverage:.1%} are "
        f"answered, {found.wrong:,} of them wrongly (95% bound {found.bound:.2%})",
        err=True,
    )
    return found


def _notes_on_promise(run: Run) -> Iterator[str]:
    """What the evaluation of the present weights, if there is one, says against a promise."""
    evaluation = run.evaluation()
    if evaluation is None or evaluation.accuracy is None or evaluation.accuracy_interval is None:
        return
    from saccade.evaluation.distribution_shift import note_on_unlike_pictures

    yield from note_on_unlike_pictures(run, evaluation.accuracy, evaluation.accuracy_interval)


def _print_json(predictions: list[Prediction], _top: int) -> None:
    print_json([dataclasses.asdict(prediction) for prediction in predictions])


def _print_csv(predictions: list[Prediction], top: int) -> None:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    ranks = [name for rank in range(1, top + 1) for name in (f"class_{rank}", f"probability_{rank}")]
    writer.writerow(["picture", "true_class", *ranks, "unsure", "familiarity", "refusal"])
    for prediction in predictions:
        cells = [cell for best in prediction.top for cell in (best.class_name, f"{best.probability:.6f}")]
        cells += [""] * (len(ranks) - len(cells))
        names = (printable(prediction.name), printable(prediction.true_class or ""))
        unsure = "" if prediction.refusal else str(prediction.unsure).lower()
        familiar = "" if prediction.familiarity is None else f"{prediction.familiarity:.4f}"
        writer.writerow([*names, *cells, unsure, familiar, prediction.refusal or ""])
    say(rows.getvalue().rstrip("\n"))


def _print_lines(predictions: list[Prediction], _top: int) -> None:
    for prediction in predictions:
        if prediction.refusal is not None:
            say(f"{printable(prediction.name)}: refused: {prediction.refusal}")
            continue
        best = ", ".join(f"{one.class_name} {one.probability:.1%}" for one in prediction.top)
        truth = ""
        if prediction.true_class is not None:
            right = prediction.true_class == prediction.top[0].class_name
            judged = "unsure" if prediction.unsure else "right" if right else "wrong"
            truth = f" (true class: {prediction.true_class}, {judged})"
        said = f"unsure ({best})" if prediction.unsure else best
        if prediction.unfamiliar:
            said += f"; unlike the training pictures (familiarity {prediction.familiarity:.1%})"
        elif prediction.familiarity is not None:
            said += f"; familiarity {prediction.familiarity:.1%}"
        say(f"{printable(prediction.name)}: {said}{truth}")
