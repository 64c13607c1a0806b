"""Map of images in two dimensions: similar images lie near each other, on one page that needs no network."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.data.dataset import Split
from saccade.errors import DataError
from saccade.html.render import image_data, render, thumbnail
from saccade.inference.classifier import load_classifier
from saccade.labeling.embedded_data import EmbeddedData
from saccade.labeling.new_file import atomic_result
from saccade.runs.run import Run
from saccade.training.transfer_learning.features import Features, unit_features

MAX_IMAGES = 5000
"""Number of images on a map; of more images, a random sample is shown."""

MAX_BYTES = 15_000_000
"""Size of the page, in bytes."""

_COMPONENTS = 50  # of the PCA before t-SNE, as its authors recommend
_PERPLEXITY = 30.0
_MIN_FOR_TSNE = 10  # fewer images are placed by PCA
# Standard deviation of the components of unit features below which all images are equal but for rounding.
_MIN_SPREAD = 1e-5
# Sides of the thumbnails in pixels and qualities of their sheets, of which the first that fit into the page are taken.
_THUMBNAILS = ((64, 80), (48, 75), (40, 60), (32, 40))
_COLUMNS, _ROWS = 25, 20  # thumbnails on a sheet
_UNIT = 10_000  # largest coordinate on the page


@dataclass(frozen=True, eq=False)
class ImageMap:
    """Places of images on a map.

    Attributes:
        images: the images of the map.
        places: coordinates from 0 to 1, float64 [n, 2].
        labels: name of the class of each image; "" without labels.
        predicted: predicted class of each image; empty without a run.
        name: name of the data.
        notes: messages on how the data was read.
    """

    images: Split
    places: NDArray[np.float64]
    labels: Sequence[str]
    predicted: Sequence[str]
    name: str
    notes: tuple[str, ...]


def map_images(found: EmbeddedData, features: Features, run: Run | None = None, *, seed: int = 0) -> ImageMap:
    """Place images on a map by their features: principal components, then t-SNE.

    Sources: L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", JMLR 9 (2008), as implemented by
    scikit-learn. The features are divided by their norms first. Distances between groups on the map mean little.

    Args:
        found: the images.
        features: their features, float32 [n, d].
        run: run whose predictions are shown; None: no predictions.
        seed: seed of the sample and of t-SNE.
    """
    n = len(found.images)
    rng = np.random.default_rng(seed)
    shown = np.sort(rng.permutation(n)[:MAX_IMAGES]) if n > MAX_IMAGES else np.arange(n)
    images = found.images.subset(shown)
    notes = found.notes
    if n > MAX_IMAGES:
        notes = (*notes, f"the map shows a random sample of {MAX_IMAGES:,} of {n:,} images, seed {seed}")
    predicted: list[str] = []
    if run is not None:
        probabilities = load_classifier(run, len(images)).probabilities_of(images)
        predicted = [run.class_names[label] for label in probabilities.argmax(axis=1).tolist()]
    return ImageMap(
        images=images,
        places=place(features[shown], seed=seed),
        labels=[found.labels[position] for position in shown.tolist()],
        predicted=predicted,
        name=found.dataset.name,
        notes=notes,
    )


def place(features: Features, *, seed: int) -> NDArray[np.float64]:
    """Return coordinates from 0 to 1, float64 [n, 2], for features, float32 [n, d]."""
    from sklearn.manifold import TSNE

    n = len(features)
    components = _principal_components(features, _COMPONENTS, seed=seed)
    if n >= _MIN_FOR_TSNE and components.std() > _MIN_SPREAD:
        perplexity = min(_PERPLEXITY, (n - 1) / 3)
        components = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)
    places = np.zeros((n, 2))
    places[:, : components.shape[1]] = components[:, :2]
    low = places.min(axis=0)
    return np.asarray((places - low) / max(float((places - low).max()), np.finfo(np.float32).tiny), np.float64)


def _principal_components(features: Features, count: int, *, seed: int) -> Features:
    """Return at most `count` principal components of the unit features, float32 [n, k]."""
    from sklearn.decomposition import PCA

    units = unit_features(features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one image, or equal images: their variance is 0
        components: Features = PCA(min(count, *units.shape), random_state=seed).fit_transform(units)
    return components


def write_map(image_map: ImageMap, path: Path) -> None:
    """Write a map as a page of at most `MAX_BYTES`.

    Raises:
        DataError: the page can't be written, or is too large, such as by long paths.
    """
    pages = (_page(image_map, side, quality) for side, quality in _THUMBNAILS)
    page = next((page for page in pages if len(page) < MAX_BYTES), None)
    if page is None:
        raise DataError("the page of the map would be too large", expected=f"at most {MAX_BYTES:,} bytes")
    with atomic_result(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _page(image_map: ImageMap, side: int, quality: int) -> str:
    columns = {"label": image_map.labels if any(image_map.labels) else [], "prediction": image_map.predicted}
    names = sorted({name for values in columns.values() for name in values if name})
    number = {name: position for position, name in enumerate(names)}
    return render(
        "map.html",
        name=image_map.name,
        notes=image_map.notes,
        num_images=len(image_map.images),
        values={
            "paths": list(image_map.images.names),
            "places": np.rint(image_map.places * _UNIT).astype(int).tolist(),
            "names": names,
            "columns": {
                column: [number.get(name, -1) for name in values] for column, values in columns.items() if values
            },
            "unit": _UNIT,
            "side": side,
            "across": _COLUMNS,
            "perSheet": _COLUMNS * _ROWS,
        },
        sheets=[
            _sheet(image_map.images, start, side, quality)
            for start in range(0, len(image_map.images), _COLUMNS * _ROWS)
        ],
    )


def _sheet(images: Split, start: int, side: int, quality: int) -> str:
    """Return a sheet with the thumbnails of images from a position on, as a data URL."""
    positions = range(start, min(start + _COLUMNS * _ROWS, len(images)))
    rows = -(-len(positions) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * side, rows * side), "white")
    for place_on_sheet, position in enumerate(positions):
        image = Image.fromarray(thumbnail(images[position][0], side))
        row, column = divmod(place_on_sheet, _COLUMNS)
        sheet.paste(image, (column * side, row * side))
    stream = io.BytesIO()
    sheet.save(stream, "WEBP", quality=quality, method=4)
    return image_data(stream.getvalue())
