"""The result of a training, as JSON values and as printed lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.cli.output import print_line
from saccade.sanitize import command_line

if TYPE_CHECKING:
    from saccade.runs.run import Run

_MEASURED_BY_EVALUATE = "`saccade evaluate` measures on the test split"

OPTIMISTIC = f"optimistic: these same images chose the weights; {_MEASURED_BY_EVALUATE}"
"""The remark on a validation accuracy whose images chose the weights."""


def training_result(run: Run) -> dict[str, Any]:
    """Return the result of a training as values for JSON."""
    status, history = run.status(), run.history()
    kept, calibration = history[status.kept_epoch - 1], run.calibration()
    return {
        "run": str(run.path),
        "data": run.data_name,
        "recipe": run.recipe.name,
        "seed": run.recipe.seed,
        "state": status.state,
        "epochs": status.epochs,
        "kept_epoch": status.kept_epoch,
        "num_validation_images": run.num_validation_images,
        "validation_accuracy": kept.validation_accuracy,
        "stages": stages(run),
        "weights_chosen_by_validation": run.recipe.weights_chosen_by_validation,
        "num_calibration_images": calibration.num_images if calibration else 0,
        "notes": list(run.data.notes),
    }


def stages(run: Run) -> dict[str, Any] | None:
    """Return the validation accuracies of the two stages of a transfer and the kept stage, as values for JSON.

    None where the training has no two stages, a fitted head and then a fine-tuning, or no validation images.
    """
    history = run.history()
    if run.recipe.keep != "if_improved" or len(history) < 2 or history[0].validation_accuracy is None:
        return None
    return {
        "head_alone": history[0].validation_accuracy,
        "finetuned": history[-1].validation_accuracy,
        "kept": "head_alone" if run.status().kept_epoch == 1 else "finetuned",
    }


def print_training_result(run: Run) -> None:
    """Print the state, the validation accuracy, the run directory and the next command."""
    status, n = run.status(), run.num_validation_images
    kept = run.history()[status.kept_epoch - 1]
    ended = {"finished": "trained", "stopped early": "stopped early", "interrupted": "interrupted"}[status.state]
    epochs = run.recipe.epochs if run.plan() is None else status.epochs
    print_line(f"{ended} on {run.data_name}: weights of epoch {status.kept_epoch} of {epochs} kept")
    if kept.validation_accuracy is not None:
        from saccade.evaluation.wilson_interval import wilson_interval

        low, high = wilson_interval(round(kept.validation_accuracy * n), n)
        print_line(
            f"validation accuracy {kept.validation_accuracy:.2%} (95% interval {low:.2%} to {high:.2%}, n = {n:,}); "
            "the test split was not used"
        )
    for line in (*_stage_notes(run), *validation_notes(run)):
        print_line(line)
    path = Path(run.path)
    if status.state == "interrupted":
        print_line(f"to resume: {command_line('train', '--resume', path)}{_by_workers(run)}")
    print_line(f"run: {path}\nnext: {command_line('evaluate', path)}")


def _by_workers(run: Run) -> str:
    """Return the end of a command that resumes with as many workers as before."""
    return " --ray" if run.environment().workers > 1 else ""


def _stage_notes(run: Run) -> Iterator[str]:
    both = stages(run)
    if both is None:
        return
    kept = "the fine-tuned network is kept" if both["kept"] == "finetuned" else "the head alone is kept"
    reason = "" if both["kept"] == "finetuned" else ": its log-loss is lower by more than a standard error"
    yield (
        f"the fitted head alone: {both['head_alone']:.2%} of the validation images correct; fine-tuned: "
        f"{both['finetuned']:.2%}; {kept}{reason}"
    )


def validation_notes(run: Run) -> Iterator[str]:
    """Yield notes on the uses of the validation images other than the validation accuracy."""
    calibration, chosen = run.calibration(), run.recipe.weights_chosen_by_validation
    calibrates = "the temperature, --abstain and --ood"
    if calibration is not None and calibration.selection == "other images":
        first, second = calibration.num_selection_images, calibration.num_images
        other_choice = "chose the penalty of the head" if run.recipe.transfer else "chose the last epoch"
        purpose = "chose the weights" if chosen else other_choice
        yield (
            f"the {first + second:,} validation images were divided into two halves: {first:,} {purpose} and measure "
            f"this accuracy, which is therefore optimistic; the other {second:,} calibrate {calibrates}"
        )
        yield _MEASURED_BY_EVALUATE
        return
    if chosen and run.history()[run.status().kept_epoch - 1].validation_accuracy is not None:
        yield f"accuracy and interval are {OPTIMISTIC}"
    if calibration is not None and calibration.selection != "none":
        yield f"{calibrates} are calibrated on {calibration.fitted_on}"
