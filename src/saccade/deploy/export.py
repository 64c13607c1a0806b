"""export: a run's model in a form that opens without Saccade, checked after writing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from saccade.deploy.verify import check_for, verify
from saccade.errors import ExportError
from saccade.inference.predictor import Predictor
from saccade.runs.run import Run
from saccade.whole_files import placed

if TYPE_CHECKING:
    import keras

# Format -> how its names end. A SavedModel is a directory, which may have any name.
FORMATS = {"keras": ".keras", "h5": ".h5", "savedmodel": "", "weights": ".weights.h5"}


@dataclass(frozen=True)
class Export:
    """A model that was exported and checked.

    Attributes:
        path: the file, or the directory of a SavedModel; absolute.
        format: one of `FORMATS`.
        files: what was written: `path`, and for weights the architecture's JSON.
        size_bytes: of all that was written.
        pictures: how many pictures it was checked on.
        origin: where those come from: "validation", or "random" if the run kept no validation pictures.
        largest_difference: between its probabilities and the run's, over those pictures and all classes.
    """

    path: Path
    format: str
    files: tuple[Path, ...]
    size_bytes: int
    pictures: int
    origin: str
    largest_difference: float


def export(
    run: Run | str | Path,
    *,
    format: str = "keras",  # noqa: A002 - what everybody calls it
    out: str | Path | None = None,
) -> Export:
    """Saves a run's model: stock Keras, float32, from pixels 0 to 255, [n, height, width, 3], to probabilities.

    What was written is opened again in a clean process that can't import Saccade, and has to give the run's
    probabilities to 1e-5 on the run's validation pictures; only then does it appear at its place.

    Args:
        run: a run or its directory.
        format: "keras", Keras's native file; "h5", the older HDF5 file; "savedmodel", a directory for TensorFlow with
            the signature `serving_default`; "weights", a `.weights.h5` file with the architecture's JSON beside it.
        out: the file or directory to write, in a folder that exists. None: named after the run, in its directory.

    Raises:
        RunError: no run there, a damaged one, or one without weights.
        ExportError: the format is not known, something is in the way, the writing failed, or the check did. Nothing
            is left behind.
    """
    run = Run.open(run)
    target = _target(run, format, out)
    places = [target, _architecture_of(target)] if format == "weights" else [target]
    _require_free(places)
    predictor = Predictor.from_run(run)
    check = check_for(run, predictor)
    try:
        with ExitStack() as stack:
            temporary = [stack.enter_context(placed(place)) for place in places]
            _write(predictor.model, format, temporary[0])
            difference = verify(format, temporary[0], check)
            size = sum(_size(path) for path in temporary)
            _require_free(places)
    except OSError as error:
        raise ExportError(
            f"'{target}' can't be written: {error}", remedy="make room or name another place with --out"
        ) from None
    files = tuple(place.resolve() for place in places)
    return Export(files[0], format, files, size, len(check.pictures), check.origin, difference)


def _target(run: Run, form: str, out: str | Path | None) -> Path:
    if form not in FORMATS:
        raise ExportError(f"there is no export format '{form}'", expected=f"one of {', '.join(FORMATS)}")
    suffix = FORMATS[form]
    if out is None:
        return run.path / f"{run.name}{suffix or '-savedmodel'}"
    target = Path(out)
    if not target.name.endswith(suffix) or target.name == suffix:
        raise ExportError(
            f"the format '{form}' needs a name that ends in {suffix}",
            found=f"'{target}'",
            remedy=f"--out {target.with_name(target.stem + suffix) if target.name else f'model{suffix}'}",
        )
    return target


def _architecture_of(weights: Path) -> Path:
    return weights.with_name(f"{weights.name.removesuffix(FORMATS['weights'])}.json")


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


def _write(model: keras.Model, form: str, path: Path) -> None:
    import tensorflow

    try:
        if form == "savedmodel":
            _write_saved_model(model, path)
        elif form == "weights":
            model.save_weights(path)
            _architecture_of(path).write_text(model.to_json(indent=2), encoding="utf-8")
        else:
            with _no_advice_on_formats():
                model.save(path)
    # What TensorFlow and h5py raise when the disk is full.
    except (tensorflow.errors.OpError, RuntimeError) as error:
        raise OSError(str(error).partition("\n")[0]) from error


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
