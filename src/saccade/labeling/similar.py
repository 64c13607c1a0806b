"""similar: the images of data that are most similar to an image, to a folder of images, or to a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.data.load import Data
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.image_dataset import load_images
from saccade.data.sources.memory.encoded_image import EncodedImage
from saccade.data.sources.memory.labeled_images import labeled
from saccade.data.sources.unlabeled_images import UNLABELED
from saccade.errors import DataError, is_whole_number, number_in_words
from saccade.html.render import image_source, render, thumbnail
from saccade.inference.image_inputs import DatasetImage, find_images
from saccade.labeling.components import unit_features
from saccade.labeling.embedded_data import EmbeddedData, prepare
from saccade.labeling.new_file import atomic_result, new_file
from saccade.progress import counting
from saccade.runs.run import Run
from saccade.sanitize import counted, listed_names, printable
from saccade.training.transfer_learning.features import Features

_MAX_SIDE = 160
_MAX_ON_PAGE = 500
_MAX_QUERY_ON_PAGE = 12


@dataclass(frozen=True)
class SimilarImage:
    """An image of the data.

    Attributes:
        path: name of the image: its path relative to the data, or a number.
        label: name of its class; "" without labels.
        split: its split by the data itself; "" where the data has none.
        similarity: cosine of the angle between its features and the features of the query, -1 to 1.
    """

    path: str
    label: str
    split: str
    similarity: float


@dataclass(frozen=True)
class SimilarImages:
    """Result of a search of similar images.

    Attributes:
        query: image, folder or class, in words.
        num_query_images: number of images of the query; the search compares with the mean of their unit features.
        num_images: number of images of the data that were compared.
        images: the most similar images, the most similar one first.
        notes: messages on how the data was read, and on images that were left out.
    """

    query: str
    num_query_images: int
    num_images: int
    images: tuple[SimilarImage, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a value that JSON can hold."""
        return asdict(self)


def find_similar(
    query: Any,
    data: Data,
    *,
    top: int = 20,
    network: Run | str | Path | None = None,
    out: str | Path | None = None,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> SimilarImages:
    """Find the images of data that are most similar to a query: an exact search by the cosine of features.

    Images whose contents are those of an image of the query are left out.

    Args:
        query: path of an image, or of a folder or a glob of images; an image in memory, as for `predict`; or the name
            of a class of the data, if there is no such path.
        data: data as for `embed`.
        top: number of images to return.
        network: as for `embed`.
        out: HTML page to write, with the images. None writes no page.
        reading: options for reading the data; None: the default options.
        progress: whether to show progress on standard error.

    Raises:
        DataError: the query or the data can't be used, or the page exists or can't be written.
        RunError, TrainingError: the run or the network can't be used.
    """
    if not is_whole_number(top) or top < 1:
        raise DataError("the number of images is out of range", expected="top = 1 or more", found=number_in_words(top))
    page = None if out is None else new_file(out, (".html",))
    found = prepare(data, network=network, reading=reading, progress=progress)
    name, images, features = _query(query, found)
    similarities = _similarities(_mean_direction(features), found, progress=progress)
    known = np.isin(np.array(found.images.hashes), np.array(images.hashes))
    similarities[known] = -np.inf
    order = np.argsort(-similarities, kind="stable")[: min(top, int((~known).sum()))]
    result = SimilarImages(
        query=name,
        num_query_images=len(images),
        num_images=len(found.images),
        images=tuple(
            SimilarImage(
                found.images.names[position],
                found.labels[position],
                found.splits[position],
                round(float(similarities[position]), 6),
            )
            for position in order.tolist()
        ),
        notes=(*found.notes, *_note_on_known(int(known.sum()))),
    )
    if page is not None:
        _write_page(page, result, found, images, order)
    return result


def _query(query: Any, found: EmbeddedData) -> tuple[str, Split, Features]:
    """Return the name, the images and the features of a query."""
    is_label = isinstance(query, str) and not Path(query).exists() and query in found.labels
    if is_label:
        positions = np.array([position for position, label in enumerate(found.labels) if label == query], np.int64)
        images = found.images.subset(positions)
        name = f"the class {printable(query)}"
    else:
        images = _query_images(query, found)
        name = printable(str(query)) if isinstance(query, str | Path) else counted(len(images), "image in memory")
    return name, images, found.extract(images, False, lambda _: None)


def _query_images(query: Any, found: EmbeddedData) -> Split:
    """Return the images of a query that is no class, decoded as the data is."""
    sources: list[Any] = []
    try:
        inputs = find_images(query).images
    except DataError as error:
        raise _no_query(query, found, error.problem) from None
    for image in inputs:
        if isinstance(image, DatasetImage):
            raise _no_query(query, found, "an image of a dataset by its number")
        if isinstance(image, Path) and not image.exists():
            raise _no_query(query, found, "no such file, and no such class")
        sources.append(image.contents if isinstance(image, EncodedImage) else str(image))
    count = len(sources)
    wanted = labeled(sources, list(UNLABELED.names) * count, ["test"] * count)
    try:
        dataset = load_images(wanted, found.dataset.preprocessing, ReadingOptions(), UNLABELED, progress=False)
    except DataError as error:
        if error.code != "split-unreadable":
            raise
        raise _no_query(query, found, f"no image that can be read: {error.found}") from None
    return dataset.splits["test"]


def _no_query(query: Any, found: EmbeddedData, problem: str) -> DataError:
    classes = f", or a class: {listed_names(sorted(set(found.labels)))}" if any(found.labels) else ""
    return DataError(
        f"{printable(str(query))!r} is no query" if isinstance(query, str | Path) else "this is no query",
        expected=f"the path of an image, or a folder of images{classes}",
        found=problem,
    )


def _mean_direction(features: Features) -> NDArray[np.float32]:
    """Return the unit vector, float32 [d], of the mean of features, [n, d], each divided by its norm."""
    mean = unit_features(features).mean(axis=0, dtype=np.float64)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), np.finfo(np.float32).tiny), np.float32)


def _similarities(direction: NDArray[np.float32], found: EmbeddedData, *, progress: bool) -> NDArray[np.float64]:
    """Return the cosine of the features of each image with a unit vector, float64 [n], block by block."""
    similarities = np.zeros(len(found.images))
    with counting("features", total=len(found.images), unit="images", shown=progress) as bar:
        for positions, features in found.extract.blocks(found.images, bar.update):
            norms = np.sqrt(np.einsum("nd,nd->n", features, features))
            similarities[positions] = features @ direction / np.maximum(norms, np.finfo(np.float32).tiny)
    return similarities


def _note_on_known(count: int) -> list[str]:
    return [f"left out: {counted(count, 'image')} of the query, or identical to one"] if count else []


def _write_page(path: Path, result: SimilarImages, found: EmbeddedData, query: Split, order: NDArray[np.int64]) -> None:
    shown = [
        {"image": image, "source": _thumbnail(found.images, position)}
        for image, position in zip(result.images[:_MAX_ON_PAGE], order.tolist(), strict=False)
    ]
    queries = [_thumbnail(query, position) for position in range(min(len(query), _MAX_QUERY_ON_PAGE))]
    page = render("similar.html", result=result, shown=shown, queries=queries, name=found.dataset.name)
    with atomic_result(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _thumbnail(images: Split, position: int) -> str:
    return image_source(thumbnail(images[position][0], _MAX_SIDE))


def to_lines(images: Sequence[SimilarImage]) -> list[str]:
    """Return a line of text for each image."""
    return [
        f"{image.similarity:.3f}  {printable(image.path)}" + (f"  ({printable(image.label)})" if image.label else "")
        for image in images
    ]
