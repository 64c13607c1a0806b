"""The models that a server answers with, by name, and how one takes another's place."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.deploy.server.batching import Batcher
from saccade.deploy.server.image_decoder import Decoder
from saccade.deploy.server.metrics import Metrics
from saccade.deploy.server.served_model import ServedModel, name_of
from saccade.errors import RunError, SaccadeError
from saccade.web.http_errors import RequestError
from saccade.web.limits import Limits


@dataclass(frozen=True)
class Serving:
    """A model at work.

    Attributes:
        served: the model.
        decoder: of images as it takes them.
        network: its queue.
    """

    served: ServedModel
    decoder: Decoder
    network: Batcher[NDArray[Any], NDArray[np.float32]]


class Models:
    """The models that a server answers with.

    Args:
        paths: of runs and ONNX files.
        target_accuracy: the part of the answers that is to be right; None: none says "abstained".
        limits: of the server.
        metrics: are told what is done.

    Raises:
        RunError: one of them can't be served, or two have the same name.
    """

    def __init__(self, paths: Sequence[str], target_accuracy: float | None, limits: Limits, metrics: Metrics) -> None:
        self._target_accuracy, self._limits, self._metrics = target_accuracy, limits, metrics
        self._paths = {name_of(path): path for path in paths}
        if len(self._paths) < len(paths):
            raise RunError(
                "two of the models have the same name",
                found=", ".join(name_of(path) for path in paths),
                remedy="rename a run's directory, or serve them by symbolic links of different names",
            )
        self._decoders: dict[Preprocessing, Decoder] = {}
        self._serving: dict[str, Serving] = {}
        self._waiting = 0
        self._seconds_a_image = 0.01
        self._reloading = asyncio.Lock()
        with ExitStack() as on_failure:
            on_failure.callback(self.close)
            for name in self._paths:
                self._serving[name] = self._open(name, 1)
            on_failure.pop_all()

    def __iter__(self) -> Iterator[Serving]:
        return iter(self._serving.values())

    def get(self, name: str, version: str | None = None) -> Serving:
        """The model of that name, and of that version if one is asked for.

        Raises:
            RequestError: there is none.
        """
        if name not in self._serving:
            raise RequestError(404, "there is no model of that name here")
        serving = self._serving[name]
        if version is not None and version != str(serving.served.version):
            raise RequestError(404, f"the model is there in version {serving.served.version} alone")
        return serving

    async def classify(self, serving: Serving, images: Sequence[bytes]) -> list[NDArray[np.float32]]:
        """Class probabilities, float32 [classes], of each of several encoded images.

        Raises:
            RequestError: one of them can't be decoded, or too much is waiting already.
        """
        with self._admitted(len(images)):
            return await _all(self._decode_and_predict(serving, image) for image in images)

    async def probabilities(
        self, serving: Serving, images: NDArray[np.float32] | Sequence[bytes]
    ) -> list[NDArray[np.float32]]:
        """Class probabilities, float32 [classes], of each of n images: pixels [n, height, width, 3], or encoded.

        Raises:
            RequestError: as `prediction` and `classify`.
        """
        if isinstance(images, np.ndarray):
            return await self.predict(serving, list(images))
        return await self.classify(serving, images)

    async def decode(self, serving: Serving, image: bytes) -> NDArray[np.uint8]:
        """The pixels of an encoded image as the model takes them, uint8 [height, width, 3]."""
        with self._admitted(1):
            return await serving.decoder(image)

    async def predict(self, serving: Serving, images: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Class probabilities, float32 [classes], of each of several images [height, width, 3], pixels 0 to 255.

        Raises:
            RequestError: too much is waiting already.
        """
        with self._admitted(len(images)):
            return await _all(serving.network(image) for image in images)

    async def reload(self, names: Sequence[str] | None) -> list[Serving]:
        """Opens what now lies at the models' paths, and then puts it in the place of what answered so far.

        What was accepted before is answered by the model of then.

        Args:
            names: of the models; None: all.

        Raises:
            RequestError: there is none of such a name.
            SaccadeError: one of them can't be served. None is exchanged then.
        """
        async with self._reloading:
            old = [self.get(name) for name in (self._serving if names is None else names)]
            loop, decoders = asyncio.get_running_loop(), set(self._decoders)
            try:
                opened = [
                    await loop.run_in_executor(None, self._open, one.served.name, one.served.version + 1) for one in old
                ]
            except SaccadeError:
                self._close_decoders(set(self._decoders) - decoders)
                raise
            for one in opened:
                self._serving[one.served.name] = one
                self._metrics.reloaded(one.served.name)
            # By then whoever asked the old ones has an answer.
            loop.call_later(self._limits.seconds + 1, self._close_old, old)
            return opened

    def _close_old(self, old: Sequence[Serving]) -> None:
        if self._reloading.locked():  # what is being opened is not yet among what is used
            asyncio.get_running_loop().call_later(1, self._close_old, old)
            return
        for serving in old:
            serving.network.close()
        self._close_decoders({serving.served.record.preprocessing for serving in old})

    def _close_decoders(self, preprocessings: AbstractSet[Preprocessing]) -> None:
        """Closes the decoders by these rules that no model uses."""
        for preprocessing in preprocessings - {serving.served.record.preprocessing for serving in self}:
            if preprocessing in self._decoders:
                self._decoders.pop(preprocessing).close()

    def close(self) -> None:
        """Ends all processes and threads."""
        for decoder in self._decoders.values():
            decoder.close()
        for serving in self:
            serving.network.close()

    def _open(self, name: str, version: int) -> Serving:
        served = ServedModel.open(self._paths[name], name, version, self._target_accuracy)
        preprocessing = served.record.preprocessing
        if preprocessing not in self._decoders:
            self._decoders[preprocessing] = Decoder(preprocessing)

        def work(images: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
            begun = monotonic()
            predictions = served.predict(images)
            each = (monotonic() - begun) / len(images)
            self._seconds_a_image += 0.1 * (each - self._seconds_a_image)
            self._metrics.batch(name, len(images))
            return predictions

        return Serving(served, self._decoders[preprocessing], Batcher(work, most=served.most_in_batch))

    async def _decode_and_predict(self, serving: Serving, image: bytes) -> NDArray[np.float32]:
        return await serving.network(await serving.decoder(image))

    @contextmanager
    def _admitted(self, images: int) -> Iterator[None]:
        """So many images count as waiting meanwhile."""
        if images > self._limits.images:
            raise RequestError(413, f"too many images in a request: {self._limits.images} are the most")
        if self._waiting + images > self._limits.waiting_images:
            raise self.busy()
        self._count(images)
        try:
            yield
        finally:
            self._count(-images)

    def _count(self, images: int) -> None:
        self._waiting += images
        self._metrics.waiting(self._waiting)

    def busy(self) -> RequestError:
        """What a request is refused with that comes while too much is waiting."""
        seconds = math.ceil(max(1.0, min(self._waiting * self._seconds_a_image, self._limits.seconds)))
        return RequestError(503, "too many requests are waiting", retry_after=seconds)


async def _all(predictions: Iterable[Awaitable[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    """The results of all, in order; if one fails, the others are not waited for, nor worked on if that is possible."""
    tasks = [asyncio.ensure_future(prediction) for prediction in predictions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
