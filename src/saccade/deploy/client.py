"""Client of a `saccade serve` server."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ValidationError

from saccade.data.decoding.image_files import read_image
from saccade.data.sources.memory.encoded_image import EncodedImage
from saccade.deploy.server_messages import Error, ImagePrediction, ServedModels
from saccade.errors import ImageError, SaccadeError, ServerError
from saccade.inference.image_inputs import DatasetImage, find_images
from saccade.inference.predict import Images, Prediction
from saccade.inference.top_k import ClassProbability

_CONNECTIONS = 8  # several at a time, so that the server can form batches
_TIMEOUT = 60.0
_UNREADABLE = (413, 415, 422)
_BUSY = 503

_Message = TypeVar("_Message", bound=BaseModel)


class Client:
    """Client of a `saccade serve` server.

    Args:
        url: URL of the server, such as "http://127.0.0.1:8000".
        model: name of the model; None: the only model of the server.
        token: bearer token of the server; None: no token.

    Raises:
        SaccadeError: the URL is not the URL of a server.
    """

    def __init__(self, url: str, model: str | None = None, *, token: str | None = None) -> None:
        parts = urlsplit(url)
        try:
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # the port is not a number, or out of range
            valid = False
        if not valid:
            raise SaccadeError(f"'{url}' is not the URL of a server", expected="a URL such as http://127.0.0.1:8000")
        self.url = url.rstrip("/")
        self._parts, self._model = parts, model
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def models(self) -> list[dict[str, Any]]:
        """Return the metadata of the server's models: name, class names, image size, accuracy and more.

        Raises:
            ServerError: the server can't be reached, or rejects the request.
        """
        with closing(self._connection()) as connection:
            status, content = self._request(connection, "GET", "/api/models", None)
        return [model.model_dump(mode="json") for model in self._read(ServedModels, status, content).models]

    def predict(self, images: Images, *, top: int = 3) -> list[Prediction]:
        """Classify images on the server, several at a time.

        Args:
            images: files, folders (at any depth), globs, and images in memory, as for `saccade.predict`; only the
                contents of the files are sent, and arrays without loss, as files.
            top: number of most probable classes per prediction.

        Returns:
            One prediction for each image, in the order of `images`, as from `saccade.predict`; the prediction for an
            unreadable image carries the reason.

        Raises:
            DataError: a folder or a glob holds no image, or something is no image.
            ServerError: the server can't be reached, has no such model, or stays too busy for a minute.
        """
        found = find_images(images).images
        for image in found:
            if isinstance(image, DatasetImage):
                raise SaccadeError(f"'{image}' is not a file", expected="files, folders or globs")
        files = [image for image in found if not isinstance(image, DatasetImage)]
        path = f"/api/models/{quote(self._model or self._only_model(), safe='')}/image?top={top}"
        idle: SimpleQueue[HTTPConnection] = SimpleQueue()
        with ExitStack() as connections, ThreadPoolExecutor(_CONNECTIONS) as threads:
            for _ in range(_CONNECTIONS):
                idle.put(connections.enter_context(closing(self._connection())))
            return list(threads.map(lambda file: self._predict(file, path, idle), files))

    def _only_model(self) -> str:
        names = [model["name"] for model in self.models()]
        if len(names) != 1:
            raise ServerError(
                f"the server at {self.url} has several models",
                expected=f"the name of one: {', '.join(names)}",
                remedy=f"Client(url, model={names[0]!r})",
            )
        return str(names[0])

    def _predict(self, file: Path | EncodedImage, path: str, idle: SimpleQueue[HTTPConnection]) -> Prediction:
        try:
            contents = file.contents if isinstance(file, EncodedImage) else read_image(str(file))
        except ImageError as error:
            return Prediction(str(file), (), unreadable_reason=error.problem)
        connection = idle.get()
        try:
            status, content = self._request(connection, "POST", path, contents)
        finally:
            idle.put(connection)
        if status in _UNREADABLE:
            return Prediction(str(file), (), unreadable_reason=self._message(Error, content).error)
        prediction = self._read(ImagePrediction, status, content)
        classes = tuple(ClassProbability(one.class_name, one.probability) for one in prediction.classes)
        return Prediction(str(file), classes, abstained=prediction.abstained, ood_p_value=prediction.ood_p_value)

    def _read(self, kind: type[_Message], status: int, content: bytes) -> _Message:
        """Return the message of a response with status 200.

        Raises:
            ServerError: the status is another one.
        """
        if status != 200:
            reason = self._message(Error, content).error
            raise ServerError(f"the server at {self.url} rejected the request", found=f"{status}: {reason}")
        return self._message(kind, content)

    def _message(self, kind: type[_Message], content: bytes) -> _Message:
        try:
            return kind.model_validate_json(content, strict=True)
        except ValidationError:
            raise ServerError(f"the server at {self.url} is not a server of Saccade") from None

    def _connection(self) -> HTTPConnection:
        """Return a connection, which opens at its first request."""
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=_TIMEOUT)

    def _request(self, connection: HTTPConnection, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Return status and body of the response; repeat the request while the server is busy, up to a minute."""
        end = time.monotonic() + _TIMEOUT
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
        reused = connection.sock is not None
        try:
            return self._send(connection, method, path, body)
        except (OSError, HTTPException):
            connection.close()  # the server may have closed a reused connection meanwhile
            if not reused:
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
