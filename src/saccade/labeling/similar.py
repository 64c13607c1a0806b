"""similar: the images of data that are most similar to an image, to a folder of images, or to a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

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
from saccade.labeling.embedded_data import EmbeddedData, prepare
from saccade.labeling.new_file import atomic_result, new_file
from saccade.progress import counting
from saccade.runs.run import Run
from saccade.sanitize import counted, listed_names, printable

_MAX_SIDE = 160
_MAX_ON_PAGE = 500
_MAX_QUERY_ON_PAGE = 12
_CHUNK = 1024  # images that are compared in float64 at once

_Float = TypeVar("_Float", np.float32, np.float64)


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
    name, images = _query(query, found)
    nearest = nearest_images(images, found, top, progress=progress)
    result = SimilarImages(
        query=name,
        num_query_images=len(images),
        num_images=len(found.images),
        images=tuple(
            SimilarImage(
                found.images.names[position],
                found.labels[position],
                found.splits[position],
                round(similarity, 6),
            )
            for position, similarity in zip(nearest.positions.tolist(), nearest.similarities.tolist(), strict=True)
        ),
        notes=(*found.notes, *_note_on_known(nearest.num_known)),
    )
    if page is not None:
        _write_page(page, result, found, images, nearest.positions)
    return result


def _query(query: Any, found: EmbeddedData) -> tuple[str, Split]:
    """Return the name and the images of a query."""
    is_label = isinstance(query, str) and not Path(query).exists() and query in found.labels
    if is_label:
        positions = np.array([position for position, label in enumerate(found.labels) if label == query], np.int64)
        images = found.images.subset(positions)
        name = f"the class {printable(query)}"
    else:
        images = _query_images(query, found)
        name = printable(str(query)) if isinstance(query, str | Path) else counted(len(images), "image in memory")
    return name, images


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


class NearestImages(NamedTuple):
    """Images with the largest cosine similarity to a query.

    Attributes:
        positions: positions of the images in the data, the most similar first, equally similar ones by path: int64 [k].
        similarities: cosine similarity of each of these images, float64 [k].
        num_known: number of images of the data whose contents are those of an image of the query.
    """

    positions: NDArray[np.int64]
    similarities: NDArray[np.float64]
    num_known: int


def nearest_images(query: Split, found: EmbeddedData, top: int, *, progress: bool = False) -> NearestImages:
    """Find the images of data with the largest cosine similarity to the mean direction of a query: an exact search.

    All images are compared in float32. Those that rounding may have kept from the first `top` are compared again in
    float64, so that the result is that of a search in float64.

    Args:
        query: images of the query; images of the data with the contents of one of these are left out.
        found: the data.
        top: number of images to find.
        progress: whether to show progress on standard error.
    """
    direction = _mean_direction(query, found)
    similarities = _rounded_similarities(direction.astype(np.float32), found, progress=progress)
    contents = frozenset(query.hashes)
    others = np.flatnonzero([content not in contents for content in found.images.hashes])
    count, num_known = min(top, len(others)), len(found.images) - len(others)
    if not count:
        return NearestImages(others, np.zeros(0), num_known)
    # A similarity of d products differs by less than d units of float32 from that of exact arithmetic: Higham,
    # "Accuracy and stability of numerical algorithms" (2002), section 3.1, for the product and for the norm.
    last = np.partition(similarities[others], -count)[-count]
    likely = others[similarities[others] >= last - 2 * len(direction) * np.finfo(np.float32).eps]
    exact = _exact_similarities(direction, found, likely)
    order = np.argsort(-exact, kind="stable")[:count]
    return NearestImages(likely[order], exact[order], num_known)


def _mean_direction(query: Split, found: EmbeddedData) -> NDArray[np.float64]:
    """Return the unit vector, float64 [d], of the mean of the unit features of the images of a query."""
    total = np.zeros(found.extract.width)
    for block in found.extract.blocks(query, lambda _: None):
        features = block.features.astype(np.float64)
        total += (features / _norms(features)[:, None])[block.rows].sum(axis=0)
    return total / max(float(np.linalg.norm(total)), np.finfo(np.float64).tiny)


def _rounded_similarities(
    direction: NDArray[np.float32], found: EmbeddedData, *, progress: bool
) -> NDArray[np.float32]:
    """Return the cosine of the features of each image with a unit vector, float32 [n]."""
    similarities = np.zeros(len(found.images), np.float32)
    with counting("features", total=len(found.images), unit="images", shown=progress) as bar:
        for block in found.extract.blocks(found.images, bar.update):
            similarities[block.positions] = (block.features @ direction / _norms(block.features))[block.rows]
    return similarities


def _exact_similarities(
    direction: NDArray[np.float64], found: EmbeddedData, positions: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the cosine in float64 for the images at some positions; equal features give equal bits."""
    similarities = np.zeros(len(positions))
    for start in range(0, len(positions), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        features = found.extract(found.images.subset(positions[chunk]), False, lambda _: None).astype(np.float64)
        # A matrix product would round equal rows at different places differently.
        similarities[chunk] = (features * direction).sum(axis=1) / _norms(features)
    return similarities


def _norms(features: NDArray[_Float]) -> NDArray[_Float]:
    """Return the norm of each row; of a row of zeros, the smallest number."""
    norms: NDArray[_Float] = np.sqrt(np.einsum("nd,nd->n", features, features))
    return np.maximum(norms, np.finfo(features.dtype).tiny)


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
