"""Model card: README.md of a run, with front matter for Hugging Face.

Source: M. Mitchell et al., "Model cards for model reporting", FAT* 2019. The front matter has the format of the model
cards on huggingface.co (`model-index`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from saccade.evaluation.metrics import Metrics, measure
from saccade.evaluation.report.recommendations import Recommendation
from saccade.runs.run import CARD_MARK, Run
from saccade.runs.run_split import RunSplit, note_on_interruption
from saccade.sanitize import counted, printable

_MAX_CLASSES = 100


def model_card(
    run: Run,
    split: RunSplit,
    probabilities: NDArray[np.float32],
    metrics: Metrics,
    *,
    notes: Sequence[str],
    recommendations: Sequence[Recommendation],
) -> str:
    """Return the model card as Markdown.

    Args:
        run: the run.
        split: test split with n images.
        probabilities: predicted probabilities for the test images, float32 [n, classes].
        metrics: metrics on the test images.
        notes: notes on distribution shift.
        recommendations: recommended next steps.
    """
    low, high = metrics.accuracy_interval
    calibration, environment = run.calibration(), run.environment()
    names = ", ".join(_plain(name) for name in run.class_names[:_MAX_CLASSES])
    more = len(run.class_names) - _MAX_CLASSES
    epochs = counted(run.status().epochs, "epoch")
    lines = [
        *_front_matter(run, metrics),
        CARD_MARK,
        "",
        f"# {_plain(run.name)}",
        "",
        f"Classifies images into {len(run.class_names)} classes: {names}{f' and {more} more' if more > 0 else ''}.",
        "",
        "## Evaluation",
        "",
        *_test_images(split, probabilities),
        "",
        "| metric | value |",
        "|---|---|",
        f"| accuracy | {metrics.accuracy:.2%} (95% Wilson interval {low:.2%} to {high:.2%}; one seed) |",
        f"| balanced accuracy | {metrics.balanced_accuracy:.2%} |",
        f"| log-loss | {metrics.log_loss:.4f} nats |",
        f"| expected calibration error, 15 bins | {metrics.expected_calibration_error:.2%} |",
        *_cross_validation(run),
        "",
        *_as_sentences(notes),
        f"The temperature is {calibration.temperature:.3g}, fitted on {calibration.fitted_on}."
        if calibration
        else "The probabilities are not calibrated: there were no validation images.",
        "",
        "## Intended use and limits",
        "",
        "The model predicts one of its classes for every image, whatever the image shows. The metrics above are valid",
        "for images from the source of the test images. For images from another source, evaluate the model again.",
        "",
        "## Data and training",
        "",
        f"Data: {_plain(run.data_name)}, fingerprint `{run.data_fingerprint[:16]}`; "
        + ", ".join(f"{count:,} {split}" for split, count in run.data.num_images.items())
        + f" images, resized to {run.preprocessing.width}x{run.preprocessing.height} pixels"
        + f" (`fit={run.preprocessing.fit}`).",
        "",
        f"Recipe: `{_plain(run.recipe.name)}`, {epochs}, seed {run.recipe.seed}: `recipe.json`.",
        *_as_sentences(note_on_interruption(run)),
        *_pretraining(run),
        f"Trained with Saccade {environment.saccade}, Keras {environment.packages.get('keras', '?')},",
        f"on {_plain(environment.processor)}, {environment.cores} cores, in {environment.compute_dtype}.",
        "",
        "## Usage",
        "",
        "```python",
        "import keras",
        "",
        'model = keras.models.load_model("model.keras")  # without Saccade',
        (
            "probabilities = model.predict(pixels)"
            f"  # pixels: [n, {run.preprocessing.height}, {run.preprocessing.width}, 3], 0 to 255, RGB"
        ),
        "```",
        "",
    ]
    if recommendations:
        lines += ["## Recommendations", ""]
        lines += [f"- {_plain(one.reason)} {_plain(one.action)}" for one in recommendations]
        lines.append("")
    return "\n".join(lines)


def _as_sentences(notes: Iterable[str]) -> list[str]:
    return [f"{note[0].upper()}{note[1:]}." for note in notes]


def _test_images(split: RunSplit, probabilities: NDArray[np.float32]) -> list[str]:
    """Return lines on the number of test images and on test images that are also training or validation images."""
    n, trained, validated = len(split.images), int(split.trained_on.sum()), int(split.validated_on.sum())
    unreadable = f" ({len(split.unreadable):,} more are unreadable)" if split.unreadable else ""
    scored = f"On {n:,} test images{unreadable}, each scored once"
    if not trained and not validated:
        return [f"{scored}; by content hash, none of them is a training or validation image:"]
    new = ~(split.trained_on | split.validated_on)
    text = f"{trained:,} of them are also training images, {validated:,} of them are also validation images."
    lines = [f"{scored}. The metrics may be too optimistic: by content hash, {text}"]
    if new.any():
        rest = measure(split.images.labels[new], probabilities[new])
        interval = "95% Wilson interval {:.2%} to {:.2%}".format(*rest.accuracy_interval)
        lines.append(f"On the other {int(new.sum()):,} the accuracy is {rest.accuracy:.2%} ({interval}).")
    return lines


def _pretraining(run: Run) -> list[str]:
    """Return lines on the pretrained weights of the run."""
    source = run.source()
    if source is None:
        return []
    return [
        f"The pretrained weights are from {_plain(source.name)} (`{source.fingerprint[:16]}`); the head is new.",
        *_as_sentences([_plain(note_on_pretraining(run))]),
    ]


def note_on_pretraining(run: Run) -> str:
    """Return a note that test images may be among the images of the pretraining; "" without pretrained weights."""
    source = run.source()
    if source is None:
        return ""
    return f"the run does not record the training images of {source.name}, which may include test images of this run"


def _cross_validation(run: Run) -> list[str]:
    """Return lines with the result of the run's cross-validation."""
    folds = run.folds()
    return [] if folds is None else ["", f"Cross-validated: {folds.summary}."]


def _front_matter(run: Run, metrics: Metrics) -> list[str]:
    """Return the YAML front matter; names are JSON strings, which are also YAML strings."""
    name, data = json.dumps(printable(run.name)), json.dumps(printable(run.data_name))
    return [
        "---",
        "library_name: keras",
        "pipeline_tag: image-classification",
        "tags: [image-classification, saccade]",
        "model-index:",
        f"- name: {name}",
        "  results:",
        "  - task: {type: image-classification}",
        f"    dataset: {{name: {data}, type: {data}, split: test}}",
        "    metrics:",
        f"    - {{type: accuracy, value: {metrics.accuracy:.6f}}}",
        f"    - {{type: log_loss, value: {metrics.log_loss:.6f}}}",
        "---",
    ]


def _plain(text: str) -> str:
    """Escape text for Markdown with HTML."""
    escaped = printable(text)
    for character in "\\`*_[]<>|#":
        escaped = escaped.replace(character, f"\\{character}" if character != "<" else "&lt;")
    return escaped
