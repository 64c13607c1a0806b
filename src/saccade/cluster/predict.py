"""Prediction of many images on a Ray cluster, into a folder of Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from saccade.cluster.execution import Prepared, plan_on_cluster, run_on_cluster
from saccade.cluster.listing import Listing, list_images
from saccade.cluster.networks import ClassifierFactory, ModelContents, read_model
from saccade.cluster.options import ClusterOptions
from saccade.cluster.plan import ClusterPlan
from saccade.cluster.result import ClusterResult
from saccade.cluster.storage import place_of
from saccade.cluster.tally import parse_budget
from saccade.data.reading_options import ReadingOptions
from saccade.onnx_session import runtime_version


@dataclass(frozen=True)
class PredictionSettings:
    """Content of the rows of a prediction.

    Attributes:
        top: number of most probable classes per prediction.
        threshold: confidence below which a prediction is abstained.
    """

    top: int = 3
    threshold: float = 0.0


DEFAULT_SETTINGS = PredictionSettings()


def predict_on_cluster(
    run: str | Path,
    images: Sequence[str],
    out: str | Path,
    options: ClusterOptions,
    *,
    settings: PredictionSettings = DEFAULT_SETTINGS,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> ClusterResult:
    """Classify images on a Ray cluster, and write Parquet files with the columns of the JSON of `saccade predict`.

    A command that was stopped or killed continues when it is repeated: each image has exactly one row in the end. The
    probabilities are those of ONNX Runtime on batches of one size, to the bit, however the images fall to workers.

    Args:
        run: a run or its directory, or an exported ONNX file.
        images: sources as for `list_images`.
        out: folder to write, on a file system that all nodes share, or an address in object storage.
        options: the cluster and its use.
        settings: content of the rows.
        reading: options for reading label files; None: the default options.
        progress: whether to show a progress bar on stderr.

    Raises:
        ClusterError: the cluster can't be reached, or a node can't do the work.
        DataError: the images or the results can't be used, or too many images are unreadable.
        RunError: the run can't be used.
    """
    place = place_of(str(out))
    listing, prepared = prepare_prediction(run, images, options, settings, reading=reading)
    return run_on_cluster(options, place, listing, prepared, progress=progress)


def plan_prediction(
    run: str | Path,
    images: Sequence[str],
    out: str | Path | None,
    options: ClusterOptions,
    *,
    reading: ReadingOptions | None = None,
) -> ClusterPlan:
    """Check all that `predict_on_cluster` checks, and measure the time of some images; nothing is written.

    The arguments and the errors are those of `predict_on_cluster`; without `out` the nodes write nothing.
    """
    place = None if out is None else place_of(str(out))
    return plan_on_cluster(options, place, *prepare_prediction(run, images, options, reading=reading))


def prepare_prediction(
    run: str | Path,
    images: Sequence[str],
    options: ClusterOptions,
    settings: PredictionSettings = DEFAULT_SETTINGS,
    *,
    reading: ReadingOptions | None = None,
) -> tuple[Listing, Prepared]:
    """Read the network and list the images; arguments and errors as for `predict_on_cluster`."""
    listing = list_images(images, reading)
    return listing, prepared_prediction(read_model(run), listing, options, settings)


def prepared_prediction(
    model: ModelContents, listing: Listing, options: ClusterOptions, settings: PredictionSettings, work: str = "predict"
) -> Prepared:
    """Return the prediction of a listing by a network; `work` is the name of the command.

    Raises:
        DataError: the budget of unreadable images can't be read.
    """
    budget = None if options.max_unreadable is None else parse_budget(options.max_unreadable, len(listing))
    request = {
        "work": work,
        "network": model.fingerprint,
        "images": listing.fingerprint,
        "batch_size": model.model.batch_size,
        "threads": options.threads,
        "onnxruntime": runtime_version(),
        "top": settings.top,
        "threshold": settings.threshold,
    }
    factory = ClassifierFactory(model.name, settings.top, settings.threshold)
    return Prepared(factory, model.contents, model.model.batch_size, request, budget, "predicting")
