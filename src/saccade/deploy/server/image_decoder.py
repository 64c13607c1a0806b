"""Images from requests: told from other things here, decoded in processes that may be lost."""

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

_MOST_IN_BATCH = 16
# An image that may take long goes alone, so that nobody else's waits for it in the same batch.
_MOST_BYTES_IN_BATCH = 20_000

# The pixels of an image, or why there are none.
_Outcome = NDArray[np.uint8] | str


class Decoder:
    """Decodes images by a rule, several at a time. The processes start at once.

    Args:
        preprocessing: how images become arrays.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        count = usable_cores()
        self._pool = WorkerPool(count, preprocessing)
        self._pool.start()
        self._batcher: Batcher[bytes, _Outcome] = Batcher(
            self._decode, most=_MOST_IN_BATCH, threads=count, weigh=len, most_weight=_MOST_BYTES_IN_BATCH
        )

    async def __call__(self, contents: bytes) -> NDArray[np.uint8]:
        """The pixels of an image, uint8 [height, width, 3].

        Raises:
            RequestError: it is none, or one that can't be decoded.
        """
        try:
            detect_format(contents)
        except ImageError as error:
            raise RequestError(415, error.problem) from None
        outcome = await self._batcher(contents)
        if isinstance(outcome, str):
            raise RequestError(422, outcome)
        return outcome

    def close(self) -> None:
        """Ends the processes."""
        self._batcher.close()
        self._pool.__exit__()

    def _decode(self, images: Sequence[bytes]) -> list[_Outcome]:
        chunks = self._pool.decode(images)
        return [
            pixels if reason is None else reason
            for chunk in chunks
            for pixels, reason in zip(chunk.pixels, chunk.reasons, strict=True)
        ]
