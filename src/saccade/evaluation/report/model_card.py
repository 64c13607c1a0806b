"""The model card: README.md in a run, with the front matter that Hugging Face reads.

Source: M. Mitchell et al., "Model cards for model reporting", FAT* 2019; the front matter is that of huggingface.co's
model cards (`model-index`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from saccade.evaluation.distribution_shift import note_on_unlike_images
from saccade.evaluation.metrics import Metrics, measure
from saccade.evaluation.report.recommendations import NextStep
from saccade.runs.run import CARD_MARK, Run
from saccade.runs.run_split import RunSplit, note_on_interruption
from saccade.sanitize import counted, printable

_MOST_CLASSES = 100


def model_card(
    run: Run, split: RunSplit, probabilities: NDArray[np.float32], metrics: Metrics, steps: Sequence[NextStep]
) -> str:
    """The card as Markdown.

    Args:
        run: whose it is.
        split: the n test images.
        probabilities: float32 [n, classes], the run's predictions on them.
        metrics: on the test images.
        steps: what to try next.
    """
    low, high = metrics.accuracy_interval
    calibration, environment = run.calibration(), run.environment()
    names = ", ".join(_plain(name) for name in run.class_names[:_MOST_CLASSES])
    more = len(run.class_names) - _MOST_CLASSES
    epochs = counted(run.status().epochs, "epoch")
    lines = [
        *_front_matter(run, metrics),
        CARD_MARK,
        "",
        f"# {_plain(run.name)}",
        "",
        f"Tells {len(run.class_names)} classes of images apart: {names}{f' and {more} more' if more > 0 else ''}.",
        "",
        "## How good it is",
        "",
        *_test_images(split, probabilities),
        "",
        "| what | value |",
        "|---|---|",
        f"| accuracy | {metrics.accuracy:.2%} (95% Wilson interval {low:.2%} to {high:.2%}; one seed) |",
        f"| balanced accuracy | {metrics.balanced_accuracy:.2%} |",
        f"| log-loss | {metrics.log_loss:.4f} nats |",
        f"| expected calibration error, 15 bins | {metrics.expected_calibration_error:.2%} |",
        *_folds(run),
        "",
        *_as_sentences(note_on_unlike_images(run, metrics.accuracy, metrics.accuracy_interval)),
        f"The temperature is {calibration.temperature:.3g}, fitted on {calibration.fitted_on}."
        if calibration
        else "The probabilities are not calibrated: there were no validation images.",
        "",
        "## What it is for, and what not",
        "",
        "It answers with one of its classes whatever the image shows, and knows only images like those it was",
        "trained on. The numbers above hold for test images from the same source; for others, measure again.",
        "",
        "## Data and training",
        "",
        f"Data: {_plain(run.data_name)}, fingerprint `{run.data_fingerprint[:16]}`; "
        + ", ".join(f"{count:,} {split}" for split, count in run.data.num_images.items())
        + f" images, brought to {run.preprocessing.width}x{run.preprocessing.height} pixels.",
        "",
        f"Recipe: `{_plain(run.recipe.name)}`, {epochs}, seed {run.recipe.seed}: `recipe.json`.",
        *_as_sentences(note_on_interruption(run)),
        *_source(run),
        f"Made with Saccade {environment.saccade}, Keras {environment.packages.get('keras', '?')},",
        f"on {_plain(environment.processor)}, {environment.cores} cores, in {environment.compute_dtype}.",
        "",
        "## How to use it",
        "",
        "```python",
        "import keras",
        "",
        'model = keras.models.load_model("model.keras")  # needs no Saccade',
        (
            "probabilities = model.predict(pixels)"
            f"  # pixels: [n, {run.preprocessing.height}, {run.preprocessing.width}, 3], 0 to 255, RGB"
        ),
        "```",
        "",
    ]
    if steps:
        lines += ["## What to try next", ""]
        lines += [f"- {_plain(step.reason)} {_plain(step.action)}" for step in steps]
        lines.append("")
    return "\n".join(lines)


def _as_sentences(notes: Iterable[str]) -> list[str]:
    return [f"{note[0].upper()}{note[1:]}." for note in notes]


def _test_images(split: RunSplit, probabilities: NDArray[np.float32]) -> list[str]:
    """How many test images there are, and how many of them were not new to the run."""
    n, trained, validated = len(split.images), int(split.trained_on.sum()), int(split.validated_on.sum())
    unreadable = f" ({len(split.unreadable):,} more can't be read)" if split.unreadable else ""
    scored = f"On {n:,} test images{unreadable}, each scored once"
    if not trained and not validated:
        return [f"{scored}; compared file by file, none of them was used to train or to validate:"]
    new = ~(split.trained_on | split.validated_on)
    text = f"{trained:,} of them were trained on, {validated:,} of them are validation images."
    lines = [f"{scored}. The numbers may be too good: compared file by file, {text}"]
    if new.any():
        rest = measure(split.images.labels[new], probabilities[new])
        interval = "95% Wilson interval {:.2%} to {:.2%}".format(*rest.accuracy_interval)
        lines.append(f"On the other {int(new.sum()):,} the accuracy is {rest.accuracy:.2%} ({interval}).")
    return lines


def _source(run: Run) -> list[str]:
    """Where its network learned first."""
    source = run.source()
    if source is None:
        return []
    return [
        f"Its network comes from {_plain(source.name)} (weights `{source.fingerprint[:16]}`) and got a new head.",
        f"{_plain(unknown_to_the_run(run))}.",
    ]


def unknown_to_the_run(run: Run) -> str:
    """What a transfer can't say of its test images, as a sentence without its full stop; "" where it is none."""
    source = run.source()
    if source is None:
        return ""
    return (
        f"Which images {source.name} was trained on is not kept in this run: test images of this run may be among them"
    )


def _folds(run: Run) -> list[str]:
    """What a cross-validation says of trainings like this one."""
    folds = run.folds()
    return [] if folds is None else ["", f"Cross-validated: {folds.summary}."]


def _front_matter(run: Run, metrics: Metrics) -> list[str]:
    """YAML; a JSON string is one of YAML's, whatever a name holds."""
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
    """Text that Markdown and its HTML take as it is."""
    escaped = printable(text)
    for character in "\\`*_[]<>|#":
        escaped = escaped.replace(character, f"\\{character}" if character != "<" else "&lt;")
    return escaped
