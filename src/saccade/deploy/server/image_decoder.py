"""Pictures from requests: told from other things here, decoded in processes that may be lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import PictureRule
from saccade.data.decoding.decode_pool import WorkerPool
from saccade.data.decoding.image_format import sniff
from saccade.deploy.server.batching import Batcher
from saccade.errors import PictureError
from saccade.machine import usable_cores
from saccade.web.http_errors import RefusedError

_MOST_IN_BATCH = 16
# A picture that may take long goes alone, so that nobody else's waits for it in the same batch.
_MOST_BYTES_IN_BATCH = 20_000

# The pixels of a picture, or why there are none.
_Outcome = NDArray[np.uint8] | str


class Decoder:
    """Decodes pictures by a rule, several at a time. The processes start at once.

    Args:
        rule: how pictures become arrays.
    """

    def __init__(self, rule: PictureRule) -> None:
        count = usable_cores()
        self._pool = WorkerPool(count, rule)
        self._pool.start()
        self._batcher: Batcher[bytes, _Outcome] = Batcher(
            self._decode, most=_MOST_IN_BATCH, threads=count, weigh=len, most_weight=_MOST_BYTES_IN_BATCH
        )

    async def __call__(self, contents: bytes) -> NDArray[np.uint8]:
        """The pixels of a picture, uint8 [height, width, 3].

        Raises:
            RefusedError: it is none, or one that can't be decoded.
        """
        try:
            sniff(contents)
        except PictureError as error:
            raise RefusedError(415, error.problem) from None
        outcome = await self._batcher(contents)
        if isinstance(outcome, str):
            raise RefusedError(422, outcome)
        return outcome

    def close(self) -> None:
        """Ends the processes."""
        self._batcher.close()
        self._pool.__exit__()

    def _decode(self, pictures: Sequence[bytes]) -> list[_Outcome]:
        chunks = self._pool.decode(pictures)
        return [
            pixels if reason is None else reason
            for chunk in chunks
            for pixels, reason in zip(chunk.pixels, chunk.reasons, strict=True)
        ]
