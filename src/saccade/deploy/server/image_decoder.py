"""Image decoding for requests: format check in the server, decoding in worker processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode_pool import WorkerPool
from saccade.data.decoding.image_format import detect_format
from saccade.deploy.server.batching import Batcher
from saccade.errors import ImageError
from saccade.machine import usable_cores
from saccade.web.http_errors import RequestError

_MAX_IMAGES = 16
# A large image, which may take long, is decoded alone, so that no image of another request waits for it.
_MAX_BATCH_BYTES = 20_000

# The pixels of an image, or the reason why it is unreadable.
_Decoded = NDArray[np.uint8] | str


class ImageDecoder:
    """Decodes encoded images in worker processes, several images at a time. The constructor starts the processes.

    Args:
        preprocessing: preprocessing of the images.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        workers = usable_cores()
        self._pool = WorkerPool(workers, preprocessing)
        self._pool.start()
        self._batcher: Batcher[bytes, _Decoded] = Batcher(
            self._decode, max_items=_MAX_IMAGES, threads=workers, weigh=len, max_weight=_MAX_BATCH_BYTES
        )

    async def __call__(self, contents: bytes) -> NDArray[np.uint8]:
        """Return the pixels of an image, uint8 [height, width, 3].

        Raises:
            RequestError: the contents are not an image, or the image can't be decoded.
        """
        try:
            detect_format(contents)
        except ImageError as error:
            raise RequestError(415, error.problem) from None
        decoded = await self._batcher(contents)
        if isinstance(decoded, str):
            raise RequestError(422, decoded)
        return decoded

    def close(self) -> None:
        """End the worker processes."""
        self._batcher.close()
        self._pool.__exit__()

    def _decode(self, images: Sequence[bytes]) -> list[_Decoded]:
        chunks = self._pool.decode(images)
        return [
            pixels if reason is None else reason
            for chunk in chunks
            for pixels, reason in zip(chunk.pixels, chunk.reasons, strict=True)
        ]
