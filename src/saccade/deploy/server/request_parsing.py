"""What is in a request's body: JSON, pixels, images in base64. All of it is hostile until it is checked."""

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

_SMALL = 50_000  # bytes of JSON, which take less time to read than to hand over to a thread
_NUMBERS = {int, float}  # not bool, which passes for a number elsewhere
_RANGE = "pixels are numbers from 0 to 255"
_one_at_a_time = ThreadPoolExecutor(1)


async def read_body(request: Request) -> bytes:
    """All of a request's body.

    Raises:
        RequestError: it is too large (by the guard), or the client has gone.
    """
    try:
        return await request.body()
    except ClientDisconnect:
        raise RequestError(408, "the request broke off") from None


async def read_json(request: Request, understand: Callable[[dict[str, Any]], _Value]) -> _Value:
    """What the JSON object in a request's body says.

    Large ones are read one at a time, since as Python's objects they take many times their size.

    Args:
        request: with the body.
        understand: gives the object's meaning; called in a thread if the object is large.

    Raises:
        RequestError: it is no JSON object, nested too deeply, or means nothing.
    """
    body = await read_body(request)
    if len(body) <= _SMALL:
        return understand(_object(body))
    reading = asyncio.get_running_loop().run_in_executor(_one_at_a_time, lambda: understand(_object(body)))
    return await reading


def _object(body: bytes) -> dict[str, Any]:
    try:
        # Its parser goes 200 levels deep, and then refuses.
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError(400, f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(400, "the body is no JSON object")
    return value


def pixels_of(value: Any, preprocessing: Preprocessing, shape: Sequence[int] | None = None) -> NDArray[np.float32]:
    """The pixels of images, float32 [n, height, width, 3], from nested lists of numbers from 0 to 255.

    Args:
        value: the lists.
        preprocessing: of the model.
        shape: that the numbers are to have, if they are a flat list, or may be one.

    Raises:
        RequestError: they are anything else.
    """
    try:
        # As objects: of texts NumPy would make an array as wide as the longest of them.
        array = np.asarray(value, dtype=object)
    except ValueError:
        raise RequestError(400, "the lists of pixels are nested too deeply") from None
    if shape is not None and array.ndim == 1 and array.size == math.prod(shape):
        array = array.reshape(tuple(shape))
    wanted = (preprocessing.height, preprocessing.width, 3)
    if array.ndim != 4 or array.shape[1:] != wanted or (shape is not None and array.shape != tuple(shape)):
        raise RequestError(400, f"expected pixels of shape [n, {preprocessing.height}, {preprocessing.width}, 3]")
    if not set(map(type, array.flat)) <= _NUMBERS:
        raise RequestError(400, _RANGE)
    try:
        pixels = array.astype(np.float32)
    except OverflowError:
        raise RequestError(400, _RANGE) from None
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 255):
        raise RequestError(400, _RANGE)
    return pixels


def encoded_image(text: Any) -> bytes:
    """The bytes of an image from base64.

    Raises:
        RequestError: it is no base64.
    """
    if not isinstance(text, str):
        raise RequestError(400, "an image is a text in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(400, "an image is a text in base64") from None
