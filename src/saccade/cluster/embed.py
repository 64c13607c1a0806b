"""Features of many images on a Ray cluster, into a folder of Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from saccade.cluster.execution import Prepared, plan_on_cluster, run_on_cluster
from saccade.cluster.listing import ListedImage, Listing, list_data
from saccade.cluster.networks import FeatureFactory
from saccade.cluster.options import ClusterOptions
from saccade.cluster.plan import ClusterPlan
from saccade.cluster.result import ClusterResult
from saccade.cluster.storage import open_file_system, place_of, read_bytes
from saccade.cluster.tally import parse_budget
from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode_pool import WorkerPool
from saccade.data.decoding.image_files import MAX_FILE_SIZE
from saccade.data.image_size import preprocessing_for
from saccade.data.reading_options import ReadingOptions
from saccade.keras_loading import require_keras_settings
from saccade.onnx_session import runtime_version
from saccade.runs.run import Run
from saccade.training.pretrained_features import FeatureSource
from saccade.training.transfer_learning.features import BATCH

_SIZED = 1000  # images whose headers give the size for the network of this package


@dataclass(frozen=True)
class ClusterEmbeddings:
    """Features on a cluster.

    Attributes:
        result: rows that were written, and the cluster.
        network: name of the network, or of the run.
        num_features: number of features of an image.
        size: height and width of the decoded images, in pixels.
    """

    result: ClusterResult
    network: str
    num_features: int
    size: tuple[int, int]


def embed_on_cluster(
    data: str,
    out: str | Path,
    options: ClusterOptions,
    *,
    network: Run | str | Path | None = None,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> ClusterEmbeddings:
    """Compute the features of images on a Ray cluster, and write Parquet files with the columns of `embed`.

    A command that was stopped or killed continues when it is repeated: each image has exactly one row in the end. With
    one thread for each worker the features are those of `saccade.embed`, to the bit.

    Args:
        data: folder of images with class folders or without, label file, or the address of one, as for `list_data`.
        out: folder to write, on a file system that all nodes share, or an address in object storage.
        options: the cluster and its use.
        network: a run, whose preprocessing is used too, or another source as for `transfer`. None: EfficientNet-Lite0
            with ImageNet weights, at a size by the headers of the images: of 1,000 at equal distances at most.
        reading: options for reading; None: the default options.
        progress: whether to show a progress bar on stderr.

    Raises:
        ClusterError: the cluster can't be reached, or a node can't do the work.
        DataError: the images or the results can't be used, or too many images are unreadable.
        RunError, TrainingError: the run or the network can't be used.
    """
    work = prepare_embedding(data, options, network, reading)
    result = run_on_cluster(options, place_of(str(out)), work.listing, work.prepared, progress=progress)
    return ClusterEmbeddings(result, work.network, work.num_features, work.size)


def plan_embedding(
    data: str,
    out: str | Path | None,
    options: ClusterOptions,
    *,
    network: Run | str | Path | None = None,
    reading: ReadingOptions | None = None,
) -> ClusterPlan:
    """Check all that `embed_on_cluster` checks, and measure the time of some images; nothing is written.

    The arguments and the errors are those of `embed_on_cluster`; without `out` the nodes write nothing.
    """
    work = prepare_embedding(data, options, network, reading)
    return plan_on_cluster(options, None if out is None else place_of(str(out)), work.listing, work.prepared)


@dataclass(frozen=True)
class PreparedEmbedding:
    """Work that is ready for a cluster.

    Attributes:
        network: name of the network, or of the run.
        num_features: number of features of an image.
        size: height and width of the decoded images, in pixels.
        listing: the images.
        prepared: the work.
    """

    network: str
    num_features: int
    size: tuple[int, int]
    listing: Listing
    prepared: Prepared


def prepare_embedding(
    data: str, options: ClusterOptions, network: Run | str | Path | None, reading: ReadingOptions | None
) -> PreparedEmbedding:
    """Read the network and list the images; arguments and errors as for `embed_on_cluster`."""
    require_keras_settings()
    source = FeatureSource.of(network)
    listing = list_data(data, reading)
    budget = None if options.max_unreadable is None else parse_budget(options.max_unreadable, len(listing))
    preprocessing = source.enlarged(_preprocessing(source, listing))
    extractor = source.extractor(preprocessing, data)
    request = {
        "work": "embed",
        "network": extractor.key,
        "images": listing.fingerprint,
        "batch_size": BATCH,
        "threads": options.threads,
        "onnxruntime": runtime_version(),
    }
    factory = FeatureFactory(preprocessing, extractor.input_size, BATCH)
    prepared = Prepared(factory, extractor.contents, BATCH, request, budget, "features")
    size = (preprocessing.height, preprocessing.width)
    return PreparedEmbedding(source.model.name, extractor.width, size, listing, prepared)


def _preprocessing(source: FeatureSource, listing: Listing) -> Preprocessing:
    """Return the preprocessing of images; where their sizes decide it, by the headers of some of them."""
    if isinstance(source.wanted, Preprocessing):
        return source.wanted
    images = listing.samples(_SIZED)
    with WorkerPool(1, Preprocessing(1, 1)) as pool:
        headers = pool.read_headers([image.path for image in images if not image.scheme])
        for image in images:
            headers += pool.read_headers(_object(image)) if image.scheme else []
    sizes = [(header.height, header.width) for header in headers]
    return preprocessing_for(source.wanted, np.array(sizes or [(0, 0)], np.int32))


def _object(image: ListedImage) -> list[bytes]:
    """Return the contents of an object; nothing for one that can't be read, whose row will have the reason."""
    try:
        return [read_bytes(open_file_system(image.scheme), image.path, MAX_FILE_SIZE)]
    except OSError:
        return []
