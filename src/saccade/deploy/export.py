"""export: a run's model in a form that opens without Saccade, checked after writing."""

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
from saccade.deploy.formats import FORMATS, require_format
from saccade.deploy.model_info import LABELS, labels_text, leaflet_of, write_leaflet
from saccade.deploy.verify import Check, Verified, check_for, verify
from saccade.errors import ExportError
from saccade.inference.litert_model import METADATA
from saccade.inference.predictor import Predictor
from saccade.models.onnx.to_onnx import to_onnx
from saccade.models.to_litert import to_litert
from saccade.named_paths import out_path
from saccade.runs.onnx_session import NOTE
from saccade.runs.records import ModelRecord
from saccade.runs.run import Run

if TYPE_CHECKING:
    import keras

_EXAMPLES = 200  # images, from which the ranges of eight-bit numbers are learned


@dataclass(frozen=True)
class Export:
    """A model that was exported and checked.

    Attributes:
        path: the file, or the directory of a SavedModel; absolute.
        format: one of `FORMATS`.
        files: what was written: `path`, for weights the architecture's JSON, and the folder with labels, metadata and
            an example.
        size_bytes: of the model: `path`, and the architecture's JSON.
        num_images: how many images it was checked on.
        origin: where those come from: "validation", or "random" if the run kept no validation images.
        max_abs_error: between its probabilities and the run's, over those images and all classes.
        same_class: the part of those images that it gives the class that the run gives, 0 to 1.
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
    format: str = "keras",  # noqa: A002 - what everybody calls it
    out: str | Path | None = None,
) -> Export:
    """Saves a run's model in a form that opens without Saccade: from pixels 0 to 255 to calibrated probabilities.

    Its input is float32 [n, height, width, 3]. What was written is opened again in a clean process that can't import
    Saccade (nor TensorFlow, where the format needs none), and has to give the run's classes and probabilities on the
    run's validation images; only then does it appear at its place. How closely is said by `FORMATS`. Beside it lies
    the folder `<name>-info` with `labels.txt`, `metadata.json` and `example.py`, a program that classifies an image.

    Args:
        run: a run or its directory.
        format: "keras", Keras's native file; "h5", the older HDF5 file; "savedmodel", a directory for TensorFlow with
            the signature `serving_default`; "weights", a `.weights.h5` file with the architecture's JSON beside it;
            "onnx", for ONNX Runtime; "litert", for LiteRT (formerly TensorFlow Lite), "litert-float16" at half its
            size, "litert-int8" at a quarter, computing in eight bits.
        out: the file or directory to write, in a folder that exists. None: named after the run, in its directory.

    Raises:
        RunError: no run there, a damaged one, or one without weights.
        ExportError: the format is not known, something is in the way, the writing failed, or the check did. Nothing
            is left behind.
    """
    return export_and_verify(Run.open(run), format, out)[0]


def export_and_verify(
    run: Run, form: str, out: str | Path | None, check: Check | None = None, *, timed: bool = False
) -> tuple[Export, Verified]:
    """As `export`, and tells all that the check found out.

    Args:
        run: the run.
        form: one of `FORMATS`.
        out: as of `export`.
        check: what `check_for` gives for the run, if that is known.
        timed: whether to measure how fast the export is.
    """
    target = _target(run, form, out)
    places = [target, *([_architecture_of(target)] if form == "weights" else []), leaflet_of(target)]
    _require_free(places)
    _require_runtime(form)
    predictor = Predictor.from_run(run)
    record, check = run.model_record(), check or check_for(run, predictor)
    try:
        with ExitStack() as stack:
            *models, leaflet = [stack.enter_context(atomic_write(place)) for place in places]
            _write(predictor, form, models[0], record, check)
            verified = verify(form, models[0], check, timed=timed)
            size = sum(_size(path) for path in models)
            write_leaflet(leaflet, record, form, target, FORMATS[form].runtime)
            _require_free(places)
    except OSError as error:
        raise ExportError(
            f"'{target}' can't be written: {error}", remedy="make room or name another place with --out"
        ) from None
    files = tuple(place.resolve() for place in places)
    agreed = verified.max_abs_error, verified.same_class
    return Export(files[0], form, files, size, len(check.images), check.origin, *agreed), verified


def _target(run: Run, form: str, out: str | Path | None) -> Path:
    require_format(form)
    suffix = FORMATS[form].suffix
    target = out_path(out, ExportError)
    if target is None:
        return run.path / f"{run.name}{FORMATS[form].mark}{suffix}"
    if not target.name.endswith(suffix) or target.name == suffix:
        named = target.with_name(target.stem + suffix) if target.name else f"model{suffix}"
        raise ExportError(
            f"the format '{form}' needs a name that ends in {suffix}",
            found=f"'{target}'",
            remedy=f"--out {shlex.quote(str(named))}",
        )
    return target


def _architecture_of(weights: Path) -> Path:
    return weights.with_name(f"{weights.name.removesuffix(FORMATS['weights'].suffix)}.json")


def _require_free(places: list[Path]) -> None:
    for place in places:
        if place.exists() or place.is_symlink():
            raise ExportError(
                f"'{place}' exists already; nothing is overwritten",
                remedy="name another place with --out, or remove it",
            )
    if not places[0].parent.is_dir():
        raise ExportError(
            f"the folder '{places[0].parent}' does not exist", remedy="make it, or name another place with --out"
        )


def _require_runtime(form: str) -> None:
    if FORMATS[form].runtime == "ai-edge-litert" and importlib.util.find_spec("ai_edge_litert") is None:
        raise ExportError(
            f"the format '{form}' needs the package ai-edge-litert, to open what was written",
            remedy="install it: pip install 'saccade[litert]'",
        )


def _write(predictor: Predictor, form: str, path: Path, record: ModelRecord, check: Check) -> None:
    import tensorflow

    model = predictor.model
    try:
        if form == "onnx":
            path.write_bytes(to_onnx(predictor.folded, {NOTE: record.model_dump_json()}))
        elif form.startswith("litert"):
            _write_litert(predictor.folded, form, path, record, check)
        elif form == "savedmodel":
            _write_saved_model(model, path)
        elif form == "weights":
            model.save_weights(path)
            _architecture_of(path).write_text(model.to_json(indent=2), encoding="utf-8")
        else:
            if form == "h5":
                _let_all_learn(model)
            with _no_advice_on_formats():
                model.save(path)
    # What TensorFlow and h5py raise when the disk is full.
    except (tensorflow.errors.OpError, RuntimeError) as error:
        raise OSError(str(error).partition("\n")[0]) from error


def _let_all_learn(model: keras.Model) -> None:
    """HDF5 sorts the weights of a network within a model by whether they learn, but does not hold which do not."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _let_all_learn(layer)
        elif not isinstance(layer, keras.layers.BatchNormalization):
            for weight in layer.weights:
                weight.trainable = True


def _write_litert(model: keras.Model, form: str, path: Path, record: ModelRecord, check: Check) -> None:
    """The file ends in a ZIP archive of labels and metadata, as the metadata of TensorFlow Lite are packed."""
    weights: Any = form.partition("-")[2] or "float32"
    path.write_bytes(to_litert(model, weights, check.images[:_EXAMPLES]))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(LABELS, labels_text(record))
        archive.writestr(METADATA, record.model_dump_json(indent=2))


def _write_saved_model(model: keras.Model, path: Path) -> None:
    """Not `model.export`, which stores every weight twice (Keras 3.15) and calls the probabilities `output_0`."""
    import keras
    import tensorflow

    pixels = tensorflow.TensorSpec(model.input_shape, "float32", name="pixels")
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", lambda pixels: {"probabilities": model(pixels, training=False)}, [pixels])
    archive.write_out(path, verbose=False)


@contextmanager
def _no_advice_on_formats() -> Iterator[None]:
    """Keras logs that HDF5 is a legacy format; whoever asks for it by name knows."""

    def keep(record: logging.LogRecord) -> bool:
        return "HDF5" not in record.getMessage()

    logger = logging.getLogger("absl")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
