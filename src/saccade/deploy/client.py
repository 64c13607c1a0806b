"""Client: asks a server that `saccade serve` started."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ValidationError

from saccade.data.decoding.image_files import read_image
from saccade.deploy.server_messages import Error, ImagePrediction, ServedModels
from saccade.errors import ImageError, SaccadeError, ServerError
from saccade.inference.image_inputs import DatasetImage, find_images
from saccade.inference.predict import Prediction
from saccade.inference.top_k import ClassProbability

_AT_ONCE = 8  # requests, so that the server can answer them in batches
_SECONDS = 60.0
_OF_THE_IMAGE = (413, 415, 422)
_BUSY = 503

_Message = TypeVar("_Message", bound=BaseModel)


class Client:
    """Asks a server that `saccade serve` started.

    Args:
        url: of the server, such as "http://127.0.0.1:8000".
        model: the name of the model to ask; None: the only one that is served.
        token: that the server asks for; None: none.

    Raises:
        SaccadeError: the URL is none.
    """

    def __init__(self, url: str, model: str | None = None, *, token: str | None = None) -> None:
        parts = urlsplit(url)
        try:
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is none
            known = False
        if not known:
            raise SaccadeError(f"'{url}' is no address of a server", expected="one such as http://127.0.0.1:8000")
        self.url = url.rstrip("/")
        self._parts, self._model = parts, model
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def models(self) -> list[dict[str, Any]]:
        """What the server tells of its models: name, class names, size of images, accuracy and so on.

        Raises:
            ServerError: it can't be reached, or does not answer as it should.
        """
        with closing(self._connection()) as connection:
            status, content = self._ask(connection, "GET", "/api/models", None)
        return [model.model_dump(mode="json") for model in self._read(ServedModels, status, content).models]

    def predict(
        self, images: Iterable[str | os.PathLike[str]] | str | os.PathLike[str], *, top: int = 3
    ) -> list[Prediction]:
        """Has images classified, several at a time.

        Args:
            images: files, folders (at any depth) and globs; what is sent is their contents alone.
            top: how many classes to give, most probable first.

        Returns:
            As `saccade.predict`: as many predictions as images are named, in order; one that can't be read is
            reported with the reason.

        Raises:
            DataError: a folder or a glob holds no image, or an image is not named by its path.
            ServerError: the server can't be reached, does not know the model, or stays too busy for a minute.
        """
        found = find_images(images).images
        for image in found:
            if isinstance(image, DatasetImage):
                raise SaccadeError(f"'{image}' is no file", expected="files, folders or globs")
        files = [image for image in found if isinstance(image, Path)]
        path = f"/api/models/{quote(self._model or self._only_model(), safe='')}/image?top={top}"
        free: SimpleQueue[HTTPConnection] = SimpleQueue()
        with ExitStack() as connections, ThreadPoolExecutor(_AT_ONCE) as threads:
            for _ in range(_AT_ONCE):
                free.put(connections.enter_context(closing(self._connection())))
            return list(threads.map(lambda file: self._predict(file, path, free), files))

    def _only_model(self) -> str:
        names = [model["name"] for model in self.models()]
        if len(names) != 1:
            raise ServerError(
                f"the server at {self.url} has several models",
                expected=f"the name of one: {', '.join(names)}",
                remedy=f"Client(url, model={names[0]!r})",
            )
        return str(names[0])

    def _predict(self, file: Path, path: str, free: SimpleQueue[HTTPConnection]) -> Prediction:
        try:
            contents = read_image(str(file))
        except ImageError as error:
            return Prediction(str(file), (), unreadable_reason=error.problem)
        connection = free.get()
        try:
            status, content = self._ask(connection, "POST", path, contents)
        finally:
            free.put(connection)
        if status in _OF_THE_IMAGE:
            return Prediction(str(file), (), unreadable_reason=self._message(Error, content).error)
        prediction = self._read(ImagePrediction, status, content)
        classes = tuple(ClassProbability(one.class_name, one.probability) for one in prediction.classes)
        return Prediction(str(file), classes, abstained=prediction.abstained)

    def _read(self, kind: type[_Message], status: int, content: bytes) -> _Message:
        """What an answer says, where the server did not refuse the request."""
        if status != 200:
            reason = self._message(Error, content).error
            raise ServerError(f"the server at {self.url} refused the request", found=f"{status}: {reason}")
        return self._message(kind, content)

    def _message(self, kind: type[_Message], content: bytes) -> _Message:
        try:
            return kind.model_validate_json(content, strict=True)
        except ValidationError:
            raise ServerError(f"what answers at {self.url} is no server of Saccade's") from None

    def _connection(self) -> HTTPConnection:
        """One that is opened when it is first needed, and again where the server has closed it meanwhile."""
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=_SECONDS)

    def _ask(self, connection: HTTPConnection, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """The status and the body of the answer; asks again for as long as the server is busy, up to a minute."""
        end = time.monotonic() + _SECONDS
        while True:
            try:
                response, content = self._exchange(connection, method, path, body)
            except (OSError, HTTPException) as error:
                raise ServerError(f"the server at {self.url} can't be reached", found=str(error)) from None
            wait = _seconds(response.headers.get("Retry-After"))
            if response.status != _BUSY or time.monotonic() + wait > end:
                return response.status, content
            time.sleep(wait)

    def _exchange(
        self, connection: HTTPConnection, method: str, path: str, body: bytes | None
    ) -> tuple[HTTPResponse, bytes]:
        used = connection.sock is not None
        try:
            return self._send(connection, method, path, body)
        except (OSError, HTTPException):
            connection.close()
            if not used:
                raise
            return self._send(connection, method, path, body)

    def _send(
        self, connection: HTTPConnection, method: str, path: str, body: bytes | None
    ) -> tuple[HTTPResponse, bytes]:
        connection.request(method, self._parts.path.rstrip("/") + path, body, self._headers)
        response = connection.getresponse()
        return response, response.read()


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdecimal() else 1.0
