"""The info folder beside an export: labels, metadata and an example program."""

from __future__ import annotations

from pathlib import Path

from saccade.image_fit import Fit
from saccade.inference.litert_model import METADATA
from saccade.runs.records import ModelRecord

_LOAD_CODE = {
    "keras": ("import keras", "model = keras.models.load_model({path}, compile=False)"),
    "h5": ("import keras", "model = keras.models.load_model({path}, compile=False)"),
    "savedmodel": ("import tensorflow as tf", "model = tf.saved_model.load(str({path} / '1'))"),
    "weights": (
        "import keras",
        "model = keras.models.model_from_json({architecture}.read_text()); model.load_weights({path})",
    ),
    "onnx": ("import onnxruntime", "session = onnxruntime.InferenceSession({path})"),
    "litert": ("from ai_edge_litert.interpreter import Interpreter", "model = Interpreter(str({path}))"),
}
_PREDICT_CODE = {
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
_RESIZE_CODE: dict[Fit, str] = {
    "crop": """\
scale = min(image.width / width, image.height / height)
left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
box = (left, top, image.width - left, image.height - top)
image = image.resize((width, height), Image.Resampling.BICUBIC, box=box)""",
    "pad": """\
if image.width * height > image.height * width:
    size = width, max(1, round(image.height / image.width * width))
else:
    size = max(1, round(image.width / image.height * height)), height
inner, image = image.resize(size, Image.Resampling.BICUBIC), Image.new("RGB", (width, height), tuple(background))
image.paste(inner, (round((width - size[0]) / 2), round((height - size[1]) / 2)))""",
    "squash": "image = image.resize((width, height), Image.Resampling.BICUBIC)",
}
LABELS, EXAMPLE = "labels.txt", "example.py"


def info_folder_of(export: Path) -> Path:
    """Return the path of the info folder beside an export."""
    return export.with_name(f"{export.name}-info")


def write_info_folder(folder: Path, record: ModelRecord, form: str, export: Path, runtime: str) -> None:
    """Write a folder with `labels.txt`, `metadata.json` and `example.py`.

    Args:
        folder: folder to create.
        record: record of the model.
        form: format of the export.
        export: final path of the export, beside the final path of the folder.
        runtime: package that opens the export.
    """
    folder.mkdir()
    (folder / LABELS).write_text(labels_text(record), encoding="utf-8")
    (folder / METADATA).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / EXAMPLE).write_text(
        _example(form.partition("-")[0], export, runtime, record.preprocessing.fit), encoding="utf-8"
    )


def labels_text(record: ModelRecord) -> str:
    """Return the class names, one per line, in the order of the model's outputs."""
    return "".join(f"{name}\n" for name in record.class_names)


def _example(form: str, export: Path, runtime: str, fit: Fit) -> str:
    template = (Path(__file__).parent / "examples" / "image.py.txt").read_text(encoding="utf-8")
    paths = {
        "path": f"here.parent / {export.name!r}",
        "architecture": f"(here.parent / {export.name.removesuffix('.weights.h5') + '.json'!r})",
    }
    imports, load = _LOAD_CODE[form]
    prediction = f"{load.format(**paths)}\n{_PREDICT_CODE[form]}"
    return template.format(
        runtime=runtime,
        imports=imports,
        longer_or_shorter="max" if fit == "pad" else "min",
        resizing=_RESIZE_CODE[fit],
        prediction=prediction,
    )
