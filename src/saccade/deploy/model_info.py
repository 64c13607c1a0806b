"""What lies beside an export: its classes, what it needs to know of images, and a program that uses it."""

from __future__ import annotations

from pathlib import Path

from saccade.inference.litert_model import METADATA
from saccade.runs.records import ModelRecord

_OPENING = {
    "keras": ("import keras", "model = keras.models.load_model({path}, compile=False)"),
    "h5": ("import keras", "model = keras.models.load_model({path}, compile=False)"),
    "savedmodel": ("import tensorflow as tf", "model = tf.saved_model.load(str({path}))"),
    "weights": (
        "import keras",
        "model = keras.models.model_from_json({architecture}.read_text()); model.load_weights({path})",
    ),
    "onnx": ("import onnxruntime", "session = onnxruntime.InferenceSession({path})"),
    "litert": ("from ai_edge_litert.interpreter import Interpreter", "model = Interpreter(str({path}))"),
}
_ASKING = {
    "keras": "probabilities = np.asarray(model(pixels, training=False))[0]",
    "h5": "probabilities = np.asarray(model(pixels, training=False))[0]",
    "weights": "probabilities = np.asarray(model(pixels, training=False))[0]",
    "savedmodel": (
        "outputs = model.signatures['serving_default'](pixels=tf.constant(pixels))\n"
        "probabilities = outputs['probabilities'][0].numpy()"
    ),
    "onnx": "probabilities = session.run(None, {'pixels': pixels})[0][0]",
    "litert": "probabilities = model.get_signature_runner()(pixels=pixels)['probabilities'][0]",
}
LABELS, EXAMPLE = "labels.txt", "example.py"


def leaflet_of(export: Path) -> Path:
    """The folder that lies beside an export."""
    return export.with_name(f"{export.name}-info")


def write_leaflet(folder: Path, record: ModelRecord, form: str, export: Path, runtime: str) -> None:
    """Makes the folder with `labels.txt`, `metadata.json` and `example.py`.

    Args:
        folder: to make.
        record: of the model.
        form: the export's format.
        export: where it will lie: beside the folder's own final place.
        runtime: the package that opens it.
    """
    folder.mkdir()
    (folder / LABELS).write_text(labels_text(record), encoding="utf-8")
    (folder / METADATA).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / EXAMPLE).write_text(_example(form.partition("-")[0], export, runtime), encoding="utf-8")


def labels_text(record: ModelRecord) -> str:
    """The class names, one a line, in the order of the model's outputs."""
    return "".join(f"{name}\n" for name in record.class_names)


def _example(form: str, export: Path, runtime: str) -> str:
    template = (Path(__file__).parent / "examples" / "image.py.txt").read_text(encoding="utf-8")
    places = {
        "path": f"here.parent / {export.name!r}",
        "architecture": f"(here.parent / {export.name.removesuffix('.weights.h5') + '.json'!r})",
    }
    imported, opening = _OPENING[form]
    prediction = f"{opening.format(**places)}\n{_ASKING[form]}"
    return template.format(runtime=runtime, imports=imported, prediction=prediction)
