"""`saccade export`."""

from __future__ import annotations

import dataclasses
import shlex
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_json, print_line
from saccade.deploy.formats import FORMATS, SAVED_MODEL_VERSION

if TYPE_CHECKING:
    from saccade.deploy.export import Export

_HOW_TO_OPEN = {
    "keras": ("import keras", "model = keras.models.load_model({path!r})"),
    "h5": ("import keras", "model = keras.models.load_model({path!r}, compile=False)"),
    "savedmodel": (
        "import tensorflow as tf",
        "serve = tf.saved_model.load({saved!r}).signatures['serving_default']",
    ),
    "onnx": ("import onnxruntime", "session = onnxruntime.InferenceSession({path!r})"),
    "litert": (
        "from ai_edge_litert.interpreter import Interpreter",
        "ask = Interpreter({path!r}).get_signature_runner()  # ask(pixels=...)['probabilities']",
    ),
    "weights": (
        "import keras, pathlib",
        "model = keras.models.model_from_json(pathlib.Path({json!r}).read_text()); model.load_weights({path!r})",
    ),
}


@click.command("export")
@click.argument("run", type=click.Path())
@click.option("--format", "form", type=click.Choice(list(FORMATS)), required=True, help="Format of the export.")
@click.option("--out", metavar="PATH", help="Output file or directory. Default: a name derived from RUN, inside RUN.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: str, form: str, out: str | None, as_json: bool) -> None:
    """Export the model of RUN for Keras, TensorFlow, ONNX Runtime or LiteRT.

    The export opens without Saccade. A separate process opens it and compares its probabilities with those of RUN; if
    they differ, the export is deleted. A folder beside the export contains labels, metadata and an example program
    that classifies an image.
    """
    from saccade.runs.run import Run

    opened = Run.open(run)

    from saccade.deploy.export import export

    exported = export(opened, format=form, out=out)
    if as_json:
        print_json(_as_dict(exported))
    else:
        _print_result(exported)


def _as_dict(exported: Export) -> dict[str, Any]:
    files = [str(path) for path in exported.files]
    return dataclasses.asdict(exported) | {"path": str(exported.path), "files": files}


def _print_result(exported: Export) -> None:
    for path in exported.files:
        print_line(f"written: {path}")
    print_line(f"size: {exported.size_bytes / 1e6:.1f} MB")
    images = (
        "validation images"
        if exported.origin == "validation"
        else "random images (the run stores no validation images)"
    )
    print_line(
        f"checked in a separate process on {exported.num_images:,} {images}: "
        f"largest difference in probability {exported.max_abs_error:.1g}, "
        f"same class for {exported.same_class:.1%}"
    )
    paths = {
        "path": str(exported.path),
        "saved": str(exported.path / SAVED_MODEL_VERSION),
        "json": str(exported.files[1]),
    }
    print_line("to open it, with pixels from 0 to 255:")
    for line in _HOW_TO_OPEN[exported.format.partition("-")[0]]:
        print_line(f"  {line.format(**paths)}")
    print_line(f"or: {shlex.join(['python', str(exported.files[-1] / 'example.py'), 'IMAGE'])}")
