"""Request bodies: JSON, pixels and base64 images, each validated before use."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from saccade.data.dataset import Preprocessing
from saccade.web.http_errors import RequestError

_Value = TypeVar("_Value")

_MAX_BYTES_WITHOUT_THREAD = 50_000  # JSON of this size is parsed sooner than a thread could start on it
_NUMBERS = {int, float}  # exact types, because bool is a subclass of int
_PIXEL_RANGE = "pixels are numbers from 0 to 255"
_one_at_a_time = ThreadPoolExecutor(1)


async def read_body(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        RequestError: the body is too large (raised by the guard), or the client has disconnected.
    """
    try:
        return await request.body()
    except ClientDisconnect:
        raise RequestError(408, "the client disconnected before the end of the request") from None


async def read_json(request: Request, parse: Callable[[dict[str, Any]], _Value]) -> _Value:
    """Read the JSON object in the body of a request.

    Large bodies are parsed one at a time, because Python objects take many times the memory of their JSON.

    Args:
        request: request with the body.
        parse: function from the JSON object to the result; called in a thread if the body is large.

    Raises:
        RequestError: the body is not a JSON object, is nested too deeply, or `parse` rejects it.
    """
    body = await read_body(request)
    if len(body) <= _MAX_BYTES_WITHOUT_THREAD:
        return parse(_json_object(body))
    parsing = asyncio.get_running_loop().run_in_executor(_one_at_a_time, lambda: parse(_json_object(body)))
    return await parsing


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        # This parser rejects more than 200 levels of nesting.
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(400, "the body is not a JSON object")
    return value


def parse_pixels(value: Any, preprocessing: Preprocessing, shape: Sequence[int] | None = None) -> NDArray[np.float32]:
    """Convert nested lists of numbers to the pixels of images, float32 [n, height, width, 3].

    Args:
        value: nested lists of numbers from 0 to 255.
        preprocessing: preprocessing of the model.
        shape: shape of the pixels, where the numbers may also be a flat list.

    Raises:
        RequestError: the value is not such a list, or has another shape.
    """
    try:
        # dtype=object: NumPy would store texts at the length of the longest one.
        array = np.asarray(value, dtype=object)
    except ValueError:
        raise RequestError(400, "the lists of pixels are nested too deeply") from None
    if shape is not None and array.ndim == 1 and array.size == math.prod(shape):
        array = array.reshape(tuple(shape))
    image_shape = (preprocessing.height, preprocessing.width, 3)
    if array.ndim != 4 or array.shape[1:] != image_shape or (shape is not None and array.shape != tuple(shape)):
        raise RequestError(400, f"expected pixels of shape [n, {preprocessing.height}, {preprocessing.width}, 3]")
    if not set(map(type, array.flat)) <= _NUMBERS:
        raise RequestError(400, _PIXEL_RANGE)
    try:
        pixels = array.astype(np.float32)
    except OverflowError:
        raise RequestError(400, _PIXEL_RANGE) from None
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 255):
        raise RequestError(400, _PIXEL_RANGE)
    return pixels


def parse_base64_image(text: Any) -> bytes:
    """Decode the bytes of an image from base64.

    Raises:
        RequestError: the text is not base64.
    """
    if not isinstance(text, str):
        raise RequestError(400, "an image is a text in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(400, "an image is a text in base64") from None
