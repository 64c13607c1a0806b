"""An image in an HTML form: multipart/form-data (RFC 7578), as `curl -F file=@cat.jpg` sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from saccade.web.http_errors import RequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MAX_PARTS = 16
_FORM = b"multipart/form-data"


def is_form(content_type: str) -> bool:
    """Return whether a Content-Type header is that of a form."""
    return parse_options_header(content_type)[0] == _FORM


def image_in_form(content_type: str, body: bytes) -> bytes:
    """Return the contents of the only file in a form. Fields that are no files are ignored.

    The body is in memory already, within the limits of the server, so no part is written to a disk.

    Args:
        content_type: Content-Type header, which names the boundary of the parts.
        body: body of the request.

    Raises:
        RequestError: the body is not such a form, or the form has no file or several.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise RequestError(400, "the form has no boundary in its Content-Type")
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError):
        raise RequestError(400, "the body is not the form that its Content-Type describes") from None
    if len(parts.files) != 1 or not parts.is_complete:
        found = f"{len(parts.files)} files" if parts.is_complete else "a part of a form"
        raise RequestError(400, f"expected a form with one file, as from curl -F file=@cat.jpg; found {found}")
    return parts.files[0]


class _Parts:
    """Collects the files of a form from the callbacks of the parser.

    Attributes:
        files: contents of the files.
        is_complete: whether the end of the form was reached.
    """

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.is_complete = False
        self._parts = 0
        self._name, self._value, self._is_file = b"", b"", False
        self._pieces: list[bytes] = []

    def callbacks(self) -> MultipartCallbacks:
        """Return the callbacks by the names of the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise RequestError(413, f"too many parts in a form: {_MAX_PARTS} are the most")
        self._is_file, self._pieces = False, []

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._is_file = b"filename" in parse_options_header(self._value)[1]
        self._name, self._value = b"", b""

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._pieces.append(data[start:end])

    def _end_part(self) -> None:
        if self._is_file:
            self.files.append(b"".join(self._pieces))

    def _end(self) -> None:
        self.is_complete = True
