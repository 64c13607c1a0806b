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
from starlette.requests import Request

from saccade.data.dataset import Preprocessing
from saccade.deploy.server.image_form import image_in_form, is_form
from saccade.sanitize import printable, shortened
from saccade.web.http_errors import RequestError
from saccade.web.request_body import read_body

_Value = TypeVar("_Value")

_MAX_BYTES_WITHOUT_THREAD = 50_000  # JSON of this size is parsed sooner than a thread could start on it
_NUMBERS = {int, float}  # exact types, because bool is a subclass of int
_TYPES = {bool: "true or false", str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
_PIXEL_RANGE = "pixels are numbers from 0 to 255"
_URL_SAFE = str.maketrans("-_", "+/")
_one_at_a_time = ThreadPoolExecutor(1)


async def read_image_body(request: Request) -> bytes:
    """Return the image in the body of a request: the body itself, or the file in a form.

    Raises:
        RequestError: as `read_body`, or the form has no file or several.
    """
    body = await read_body(request)
    content_type = request.headers.get("content-type", "")
    return image_in_form(content_type, body) if is_form(content_type) else body


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
    if shape is not None and array.ndim == 1 and array.size != math.prod(shape):
        raise RequestError(400, f"the shape {list(shape)} has {math.prod(shape):,} values; found {array.size:,}")
    image_shape = (preprocessing.height, preprocessing.width, 3)
    if array.ndim != 4 or array.shape[1:] != image_shape:
        raise _wrong_shape(value, image_shape)
    if shape is not None and array.shape != tuple(shape):
        raise RequestError(400, f"the shape is {list(shape)}, and that of the data is {list(array.shape)}")
    if not set(map(type, array.flat)) <= _NUMBERS:
        wrong = [next((one for one in image.flat if type(one) not in _NUMBERS), 0) for image in array]
        position = next(at for at, one in enumerate(wrong) if type(one) not in _NUMBERS)
        found = _TYPES.get(type(wrong[position]), "another value")
        raise RequestError(400, f"{named_image(position, len(array))}{_PIXEL_RANGE}; found {found}")
    try:
        pixels = array.astype(np.float32)
    except OverflowError:
        raise RequestError(400, _PIXEL_RANGE) from None
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 255):
        outside = (pixels < 0) | (pixels > 255)
        first = int(np.flatnonzero(outside.reshape(len(pixels), -1).any(axis=1))[0])
        found = f"{pixels[outside].flat[0]:g}"
        raise RequestError(400, f"{named_image(first, len(pixels))}{_PIXEL_RANGE}; found {found}")
    _check_scale(pixels)
    return pixels


def _wrong_shape(images: Any, expected: tuple[int, int, int]) -> RequestError:
    """Return the error for pixels of which an image has another shape than expected."""
    what = f"pixels of shape {['n', *expected]}".replace("'", "") + ', or images as {"b64": "..."}'
    if not isinstance(images, list):
        return RequestError(400, f"expected {what}")
    for position, image in enumerate(images):
        shape = np.asarray(image, dtype=object).shape
        if shape != expected:
            found = list(shape) if shape else "one value"
            return RequestError(400, f"{named_image(position, len(images))}expected {what}; found {found}")
    return RequestError(400, f"expected {what}; found no images")


def _check_scale(pixels: NDArray[np.float32]) -> None:
    """Check that no image has pixels from 0 to 1, which would be black for the model.

    An image of the range from 0 to 255 whose largest value is 1 is rejected as well: nobody would see anything in it.

    Raises:
        RequestError: an image has positive pixels, and none above 1.
    """
    largest = pixels.reshape(len(pixels), -1).max(axis=1, initial=0)
    scaled = np.flatnonzero((largest > 0) & (largest <= 1))
    if len(scaled):
        which = named_image(int(scaled[0]), len(pixels))
        raise RequestError(400, f"{which}{_PIXEL_RANGE}, and those here are from 0 to 1: multiply them by 255")


def named_image(position: int, count: int) -> str:
    """Return the beginning of a reason that names an image by its position in a request; empty for the only image."""
    return f"image {position}, counted from 0: " if count > 1 else ""


def short_name(key: str) -> str:
    """Return a key of a request for a message: printable and short."""
    return repr(shortened(printable(key), 40))


def parse_base64_images(texts: Sequence[Any]) -> list[bytes]:
    """Decode the bytes of images from base64 (RFC 4648).

    White space, the URL-safe alphabet, missing padding, and the beginning of a data URI (RFC 2397) are accepted.

    Raises:
        RequestError: one of the texts is not base64; the reason names it by its position.
    """
    return [_base64_image(text, named_image(position, len(texts))) for position, text in enumerate(texts)]


def _base64_image(text: Any, which: str) -> bytes:
    if not isinstance(text, str):
        found = _TYPES.get(type(text), "another value")
        raise RequestError(400, f"{which}an image is a text in base64; found {found}")
    if text.startswith("data:"):
        beginning, _, text = text.partition(",")
        if not beginning.lower().endswith(";base64"):
            raise RequestError(400, f"{which}a data URI of an image begins with data:, a type, and ;base64,")
    plain = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(400, f"{which}an image is a text in base64; found other characters, or too few") from None
