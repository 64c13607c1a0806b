"""Images of the heap for the page: the whole image at a size for the eyes, not the input of the network."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode_pool import WorkerPool
from saccade.data.decoding.fit import content_box
from saccade.data.decoding.image_files import content_hash, read_image
from saccade.errors import ImageError
from saccade.labeling.embedded_data import EmbeddedData

_SIDE, _THUMBNAIL = 640, 160  # largest sides, in pixels
_QUALITY = 88


class OriginalImages:
    """Encoded images for the page, decoded in a worker process from the original files.

    An image whose file was changed, or that is in an archive, is shown as the network gets it.

    Args:
        found: images of the heap.
    """

    def __init__(self, found: EmbeddedData) -> None:
        self._found = found
        self._preprocessing = Preprocessing(_SIDE, _SIDE, fit="pad")
        self._pool = WorkerPool(1, self._preprocessing)
        self._pool.start()
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the worker process."""
        self._pool.__exit__()

    def encoded(self, position: int) -> bytes:
        """Return an image as JPEG, with at most 640 pixels on each side."""
        return _jpeg(Image.fromarray(self._pixels(position)))

    def thumbnail(self, position: int) -> bytes:
        """Return an image as JPEG, with at most 160 pixels on each side, from the decoded data."""
        image = Image.fromarray(self._found.images[position][0])
        image.thumbnail((_THUMBNAIL, _THUMBNAIL))
        return _jpeg(image)

    def _pixels(self, position: int) -> NDArray[np.uint8]:
        images, root = self._found.images, self._found.dataset.root
        decoded: NDArray[np.uint8] = images[position][0]
        if not root:
            return decoded
        try:
            contents = read_image(str(Path(root) / images.names[position]))
        except ImageError:
            return decoded
        if content_hash(contents) != images.hashes[position]:
            return decoded
        with self._lock:
            (chunk,) = self._pool.decode([contents])
        if chunk.reasons[0] is not None:
            return decoded
        header = chunk.headers[0]
        left, top, right, bottom = content_box((header.width, header.height), (_SIDE, _SIDE))
        return np.asarray(chunk.pixels[0][top:bottom, left:right])


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
