"""The models of a server by name: loading, prediction and reloading."""

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
from saccade.deploy.server.image_decoder import ImageDecoder
from saccade.deploy.server.metrics import Metrics
from saccade.deploy.server.request_parsing import named_image
from saccade.deploy.server.served_model import Scores, ServedModel, model_name
from saccade.errors import RunError, SaccadeError
from saccade.web.http_errors import RequestError
from saccade.web.limits import Limits


@dataclass(frozen=True)
class ModelInstance:
    """A loaded model with its queues.

    Attributes:
        model: the model.
        decoder: image decoder for the preprocessing of the model.
        batcher: queue of the network, from pixels [height, width, 3] to scores.
    """

    model: ServedModel
    decoder: ImageDecoder
    batcher: Batcher[NDArray[Any], Scores]


class ModelRegistry:
    """The models of a server by name.

    Args:
        paths: paths of runs and ONNX files.
        target_accuracy: accuracy that the predictions which are not abstained have to reach; None: no abstention.
        limits: limits of the server.
        metrics: metrics of the server.

    Raises:
        RunError: a model can't be served, or two models have the same name.
    """

    def __init__(self, paths: Sequence[str], target_accuracy: float | None, limits: Limits, metrics: Metrics) -> None:
        self._target_accuracy, self._limits, self._metrics = target_accuracy, limits, metrics
        self._paths = {model_name(path): path for path in paths}
        if len(self._paths) < len(paths):
            raise RunError(
                "two of the models have the same name",
                found=", ".join(model_name(path) for path in paths),
                remedy="rename a run's directory, or serve them by symbolic links of different names",
            )
        self._decoders: dict[Preprocessing, ImageDecoder] = {}
        self._instances: dict[str, ModelInstance] = {}
        self._waiting_images = 0
        self._seconds_per_image = 0.01  # moving average
        self._reloading = asyncio.Lock()
        with ExitStack() as on_failure:
            on_failure.callback(self.close)
            for name in self._paths:
                self._instances[name] = self._load(name, 1)
            on_failure.pop_all()

    def __iter__(self) -> Iterator[ModelInstance]:
        return iter(self._instances.values())

    def get(self, name: str, version: str | None = None) -> ModelInstance:
        """Return the model of a name, and of a version if one is given.

        Raises:
            RequestError: there is no such model or version.
        """
        if name not in self._instances:
            raise RequestError(404, "there is no model of that name here")
        instance = self._instances[name]
        if version is not None and version != str(instance.model.version):
            raise RequestError(404, f"the only version of this model is {instance.model.version}")
        return instance

    async def classify(self, instance: ModelInstance, images: Sequence[bytes]) -> list[Scores]:
        """Return the scores of each encoded image.

        Raises:
            RequestError: an image can't be decoded, or too many images wait.
        """
        with self._admit(len(images)):
            return await _gather(
                self._decode_and_predict(instance, image, named_image(position, len(images)))
                for position, image in enumerate(images)
            )

    async def probabilities(
        self, instance: ModelInstance, images: NDArray[np.float32] | Sequence[bytes]
    ) -> list[NDArray[np.float32]]:
        """Return class probabilities, float32 [classes], of n images: pixels [n, height, width, 3], or encoded images.

        Raises:
            RequestError: as `predict` and `classify`.
        """
        if isinstance(images, np.ndarray):
            scores = await self.predict(instance, list(images))
        else:
            scores = await self.classify(instance, images)
        return [one.probabilities for one in scores]

    async def decode(self, instance: ModelInstance, image: bytes) -> NDArray[np.uint8]:
        """Return the pixels of an encoded image in the preprocessing of the model, uint8 [height, width, 3].

        Raises:
            RequestError: the image can't be decoded, or too many images wait.
        """
        with self._admit(1):
            return await instance.decoder(image)

    async def predict(self, instance: ModelInstance, images: Sequence[NDArray[Any]]) -> list[Scores]:
        """Return the scores of images [height, width, 3] with pixels from 0 to 255.

        Raises:
            RequestError: too many images wait.
        """
        with self._admit(len(images)):
            return await _gather(instance.batcher(image) for image in images)

    async def reload(self, names: Sequence[str] | None) -> list[ModelInstance]:
        """Load models from their paths again, and replace the served models with them.

        Requests that were accepted before finish with the previous models.

        Args:
            names: names of the models; None: all models.

        Raises:
            RequestError: there is no model of such a name.
            SaccadeError: a model can't be served. No model is replaced in that case.
        """
        async with self._reloading:
            previous = [self.get(name) for name in (self._instances if names is None else names)]
            loop, preprocessings = asyncio.get_running_loop(), set(self._decoders)
            try:
                loaded = [
                    await loop.run_in_executor(None, self._load, instance.model.name, instance.model.version + 1)
                    for instance in previous
                ]
            except SaccadeError:
                self._close_decoders(set(self._decoders) - preprocessings)
                raise
            for instance in loaded:
                self._instances[instance.model.name] = instance
                self._metrics.count_reload(instance.model.name)
            # By then every request to a previous model has its response, or has timed out.
            loop.call_later(self._limits.response_seconds + 1, self._close_previous, previous)
            return loaded

    def _close_previous(self, previous: Sequence[ModelInstance]) -> None:
        if self._reloading.locked():  # a model that is being loaded may need one of the decoders
            asyncio.get_running_loop().call_later(1, self._close_previous, previous)
            return
        for instance in previous:
            instance.batcher.close()
        self._close_decoders({instance.model.record.preprocessing for instance in previous})

    def _close_decoders(self, preprocessings: AbstractSet[Preprocessing]) -> None:
        """Close the decoders for these preprocessings, except those that a model uses."""
        for preprocessing in preprocessings - {instance.model.record.preprocessing for instance in self}:
            if preprocessing in self._decoders:
                self._decoders.pop(preprocessing).close()

    def close(self) -> None:
        """End all processes and threads."""
        for decoder in self._decoders.values():
            decoder.close()
        for instance in self:
            instance.batcher.close()

    def _load(self, name: str, version: int) -> ModelInstance:
        model = ServedModel.load(self._paths[name], name, version, self._target_accuracy)
        preprocessing = model.record.preprocessing
        if preprocessing not in self._decoders:
            self._decoders[preprocessing] = ImageDecoder(preprocessing)

        def process(images: Sequence[NDArray[Any]]) -> list[Scores]:
            start = monotonic()
            scores = model.predict(images)
            seconds_per_image = (monotonic() - start) / len(images)
            self._seconds_per_image += 0.1 * (seconds_per_image - self._seconds_per_image)
            self._metrics.observe_batch(name, len(images))
            return scores

        return ModelInstance(model, self._decoders[preprocessing], Batcher(process, max_items=model.max_batch_size))

    async def _decode_and_predict(self, instance: ModelInstance, image: bytes, which: str) -> Scores:
        """Return the scores of an image; the reason of an error begins with `which`."""
        try:
            pixels = await instance.decoder(image)
        except RequestError as error:
            raise RequestError(error.status, which + error.reason, retry_after=error.retry_after) from None
        return await instance.batcher(pixels)

    @contextmanager
    def _admit(self, images: int) -> Iterator[None]:
        """Count images as waiting until the end of the block.

        Raises:
            RequestError: there are more images than the limits allow.
        """
        if images > self._limits.images:
            raise RequestError(413, f"too many images in a request: {self._limits.images} are the most")
        if self._waiting_images + images > self._limits.waiting_images:
            raise self._busy()
        self._add_waiting_images(images)
        try:
            yield
        finally:
            self._add_waiting_images(-images)

    def _add_waiting_images(self, images: int) -> None:
        self._waiting_images += images
        self._metrics.set_waiting_images(self._waiting_images)

    def _busy(self) -> RequestError:
        seconds = min(self._waiting_images * self._seconds_per_image, self._limits.response_seconds)
        return RequestError(503, "too many requests are waiting", retry_after=math.ceil(max(1.0, seconds)))


async def _gather(predictions: Iterable[Awaitable[Scores]]) -> list[Scores]:
    """Return all results in order; after the first error, cancel the rest."""
    tasks = [asyncio.ensure_future(prediction) for prediction in predictions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
