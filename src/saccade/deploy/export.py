"""export: save a run's model in a format that opens without Saccade, and verify the file."""

from __future__ import annotations

import importlib.util
import logging
import shlex
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.atomic_io import atomic_write
from saccade.deploy.formats import FORMATS, SAVED_MODEL_VERSION, require_format
from saccade.deploy.model_info import LABELS, info_folder_of, labels_text, write_info_folder
from saccade.deploy.verify import Reference, Verification, make_reference, verify
from saccade.errors import ExportError
from saccade.inference.litert_model import METADATA
from saccade.inference.predictor import Predictor
from saccade.models.int8_rounding import round_to_int8
from saccade.models.onnx.to_onnx import to_onnx
from saccade.models.to_litert import to_litert
from saccade.named_paths import out_path
from saccade.onnx_session import NOTE
from saccade.runs.records import ModelRecord
from saccade.runs.run import Run

if TYPE_CHECKING:
    import keras

_CALIBRATION_IMAGES = 200  # at most; images for the ranges of the activations in eight bits


@dataclass(frozen=True)
class Export:
    """An exported and verified model.

    Attributes:
        path: absolute path of the file, or of the directory of a SavedModel.
        format: one of `FORMATS`.
        files: written files and folders: `path`, for weights the JSON file of the architecture, and the info folder
            with labels, metadata and an example.
        size_bytes: size of the model in bytes: `path`, and the JSON file of the architecture.
        num_images: number of images of the verification.
        origin: origin of these images: "validation", or "random" if the run kept no validation images.
        max_abs_error: largest absolute difference between a probability of the export and of the run, over these images
            and all classes.
        same_class: share of these images for which the export predicts the class of the run, 0 to 1.
    """

    path: Path
    format: str
    files: tuple[Path, ...]
    size_bytes: int
    num_images: int
    origin: str
    max_abs_error: float
    same_class: float


def export(
    run: Run | str | Path,
    *,
    format: str = "keras",  # noqa: A002 - the usual name
    out: str | Path | None = None,
) -> Export:
    """Save a run's model in a format that opens without Saccade, and verify the file.

    The input of the model is pixels from 0 to 255, float32 [n, height, width, 3]; the output is calibrated
    probabilities. A clean process, which can't import Saccade (nor TensorFlow, where the format does not need
    TensorFlow), opens the file and compares its classes and probabilities with those of the run, on the run's
    validation images. The file appears at its path after this verification. `FORMATS` gives the tolerances. The folder
    `<name>-info` beside the file holds `labels.txt`, `metadata.json` and `example.py`, a program that classifies an
    image.

    Args:
        run: a run or its directory.
        format: "keras", Keras's native file; "h5", the older HDF5 file; "savedmodel", a directory for TensorFlow
            Serving, whose folder `1` is a SavedModel with the signature `serving_default`; "weights", a `.weights.h5`
            file with the architecture's JSON beside it; "onnx", for ONNX Runtime; "litert", for LiteRT (formerly
            TensorFlow Lite), "litert-float16" at half the size, "litert-int8" at a quarter, with eight-bit weights and
            activations.
        out: file or directory to write, in an existing folder. None: named after the run, in the run's directory.

    Raises:
        RunError: there is no run, or it is damaged or without weights.
        ExportError: there is no such format, a file exists at the path, or writing or verification failed. No file is
            left.
    """
    return export_and_verify(Run.open(run), format, out)[0]


def export_and_verify(
    run: Run, form: str, out: str | Path | None, reference: Reference | None = None, *, timed: bool = False
) -> tuple[Export, Verification]:
    """Export a run as `export` does; return the result of the verification as well.

    Args:
        run: the run.
        form: one of `FORMATS`.
        out: as for `export`.
        reference: result of `make_reference` for the run; None: computed here.
        timed: whether to measure the speed of the export.
    """
    target = _target(run, form, out)
    paths = [target, *([_architecture_of(target)] if form == "weights" else []), info_folder_of(target)]
    _require_free(paths)
    _require_runtime(form)
    predictor = Predictor.from_run(run)
    record, reference = run.model_record(), reference or make_reference(run, predictor)
    try:
        with ExitStack() as stack:
            *models, info_folder = [stack.enter_context(atomic_write(path)) for path in paths]
            _write(predictor, form, models[0], record, reference)
            verified = verify(form, models[0], reference, timed=timed)
            size = sum(_size(path) for path in models)
            write_info_folder(info_folder, record, form, target, FORMATS[form].runtime)
            _require_free(paths)
    except OSError as error:
        raise ExportError(
            f"'{target}' can't be written: {error}", remedy="make room, or give another path with --out"
        ) from None
    files = tuple(path.resolve() for path in paths)
    agreement = verified.max_abs_error, verified.same_class
    return Export(files[0], form, files, size, len(reference.images), reference.origin, *agreement), verified


def _target(run: Run, form: str, out: str | Path | None) -> Path:
    require_format(form)
    suffix = FORMATS[form].suffix
    target = out_path(out, ExportError)
    if target is None:
        return run.path / f"{run.name}{FORMATS[form].mark}{suffix}"
    if not target.name.endswith(suffix) or target.name == suffix:
        suggestion = target.with_name(target.stem + suffix) if target.name else f"model{suffix}"
        raise ExportError(
            f"the format '{form}' needs a name that ends in {suffix}",
            found=f"'{target}'",
            remedy=f"--out {shlex.quote(str(suggestion))}",
        )
    return target


def _architecture_of(weights: Path) -> Path:
    return weights.with_name(f"{weights.name.removesuffix(FORMATS['weights'].suffix)}.json")


def _require_free(paths: list[Path]) -> None:
    for path in paths:
        if path.exists() or path.is_symlink():
            raise ExportError(
                f"'{path}' exists already; nothing is overwritten",
                remedy="give another path with --out, or remove it",
            )
    if not paths[0].parent.is_dir():
        raise ExportError(
            f"the folder '{paths[0].parent}' does not exist", remedy="make it, or give another path with --out"
        )


def _require_runtime(form: str) -> None:
    if FORMATS[form].runtime == "ai-edge-litert" and importlib.util.find_spec("ai_edge_litert") is None:
        raise ExportError(
            f"the format '{form}' needs the package ai-edge-litert, which opens the file for its verification",
            remedy="install it: pip install 'saccade[litert]'",
        )


def _write(predictor: Predictor, form: str, path: Path, record: ModelRecord, reference: Reference) -> None:
    import tensorflow

    model = predictor.model
    try:
        if form == "onnx":
            path.write_bytes(to_onnx(predictor.folded, {NOTE: record.model_dump_json()}))
        elif form.startswith("litert"):
            _write_litert(predictor.folded, form, path, record, reference)
        elif form == "savedmodel":
            _write_saved_model(model, path / SAVED_MODEL_VERSION)
        elif form == "weights":
            model.save_weights(path)
            _architecture_of(path).write_text(model.to_json(indent=2), encoding="utf-8")
        else:
            if form == "h5":
                _make_all_trainable(model)
            with _without_keras_warnings():
                model.save(path)
    # TensorFlow and h5py raise these errors when the disk is full.
    except (tensorflow.errors.OpError, RuntimeError) as error:
        raise OSError(str(error).partition("\n")[0]) from error


def _make_all_trainable(model: keras.Model) -> None:
    """Make all weights trainable: HDF5 orders the weights of a nested model by `trainable`, but does not store it."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _make_all_trainable(layer)
        elif not isinstance(layer, keras.layers.BatchNormalization):
            for weight in layer.weights:
                weight.trainable = True


def _write_litert(model: keras.Model, form: str, path: Path, record: ModelRecord, reference: Reference) -> None:
    """Write a LiteRT file that ends in a ZIP archive of labels and metadata, as TensorFlow Lite's metadata do."""
    weights: Any = form.partition("-")[2] or "float32"
    images = reference.images[:: -(-len(reference.images) // _CALIBRATION_IMAGES)]
    if weights == "int8" and reference.origin == "validation":  # noise would compensate the errors for noise
        model = round_to_int8(model, images)
    path.write_bytes(to_litert(model, weights, images))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(LABELS, labels_text(record))
        archive.writestr(METADATA, record.model_dump_json(indent=2))


def _write_saved_model(model: keras.Model, path: Path) -> None:
    """Write a SavedModel. `model.export` would store every weight twice (Keras 3.15) and name the output `output_0`."""
    import keras
    import tensorflow

    pixels = tensorflow.TensorSpec(model.input_shape, "float32", name="pixels")
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", lambda pixels: {"probabilities": model(pixels, training=False)}, [pixels])
    archive.write_out(path, verbose=False)


@contextmanager
def _without_keras_warnings() -> Iterator[None]:
    """Suppress Keras' warning that HDF5 is a legacy format; the user has chosen the format."""

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    logger = logging.getLogger("absl")
    logger.addFilter(is_error)
    try:
        yield
    finally:
        logger.removeFilter(is_error)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
