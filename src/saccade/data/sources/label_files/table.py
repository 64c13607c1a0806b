"""Tables of a label file: rows of named values from CSV, TSV and JSON lines. Parquet is in `parquet.py`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.errors import DataError
from saccade.sanitize import counted, printable, shortened

_MAX_BYTES = 1 << 30
_DELIMITERS = (",", "\t", ";", "|")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_MAX_SHOWN = 40  # characters of a value in a message
_MAX_HEADER = 1 << 20  # characters
_MAX_ERROR = 100  # characters of an error of the JSON decoder


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        number: number of the line in the file, from 1; of the row in a Parquet file.
        values: value of each column: text, number, None or, in JSON lines and Parquet, anything else.
    """

    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        path: path of the file.
        columns: names of the columns, in the order of the file.
        rows: rows, in the order of the file.
        notes: messages about the file, such as a guessed encoding.
    """

    path: Path
    columns: Sequence[str]
    rows: Sequence[Row]
    notes: tuple[str, ...] = ()


def read_delimited(path: Path) -> Table:
    """Read a CSV or TSV file (RFC 4180) with a header, of any delimiter among comma, tab, semicolon and bar.

    The encoding is UTF-8 or UTF-16, with or without a byte order mark, or else Windows-1252, with a note.

    Raises:
        DataError: the file has no header, or a line has a wrong number of values or of quotation marks.
    """
    text, notes = _decoded(path)
    lines = text.lstrip("\ufeff")
    first, _, rest = lines.partition("\n")
    if re.fullmatch(r'"?sep=."?\r?', first, re.IGNORECASE):  # written by spreadsheets
        delimiter, lines, skipped = first.strip('"')[4], rest, 1
    else:
        delimiter, skipped = _delimiter(lines), 0
    header: list[str] | None = None
    rows = []
    for number, values in _records(path, lines, delimiter, skipped):
        if header is None:
            header = [value.strip() for value in values]
        else:
            rows.append(Row(number, dict(zip(header, _fitting(values, header, path, number), strict=True))))
    if header is None:
        raise unusable(path, "a header with the names of the columns", "an empty file")
    _check_header(path, header)
    return Table(path, header, rows, notes)


def _records(path: Path, lines: str, delimiter: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the values of each line that is not empty, with the number of the line where they begin.

    Raises:
        DataError: a quotation mark has no other one.
    """
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    number = skipped + 1
    try:
        for values in reader:
            if any(value.strip() for value in values):
                yield number, values
            number = reader.line_num + skipped + 1
    except csv.Error as error:
        found = f"line {number}: {error}"
        raise unusable(path, "a table of values between delimiters, with paired quotation marks", found) from None


def read_json_lines(path: Path) -> Table:
    """Read a file with one JSON object a line.

    Raises:
        DataError: a line is no JSON object.
    """
    text, notes = _decoded(path)
    columns: dict[str, None] = {}
    rows = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text.lstrip("\ufeff")), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            found = f"line {number}: {shortened(str(error), _MAX_ERROR)}"
            raise unusable(path, "one JSON object in each line", found) from None
        if not isinstance(values, dict):
            raise unusable(path, "one JSON object in each line", f"line {number}: {shown(line)}")
        columns.update(dict.fromkeys(values))
        rows.append(Row(number, {name: values.get(name) for name in values}))
    return Table(path, list(columns), rows, notes)


def unusable(path: Path, expected: str, found: str, remedy: str | None = None) -> DataError:
    """Return the error for a label file that can't be used."""
    return DataError(
        f"the label file {printable(str(path))} can't be used",
        expected=expected,
        found=printable(found),
        remedy=remedy,
        code="label-file",
    )


def shown(value: object) -> str:
    """Return a value for a message: printable and not too long."""
    return repr(shortened(printable(str(value)), _MAX_SHOWN))


def _decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file, and notes about its encoding."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise unusable(path, f"at most {_MAX_BYTES:,} bytes", f"{path.stat().st_size:,} bytes")
        contents = path.read_bytes()
    except OSError as error:
        raise DataError(f"the label file {path} can't be read", found=error.strerror) from None
    text, notes = _as_text(contents, path)
    if "\0" in text:
        number = text.count("\n", 0, text.index("\0")) + 1
        raise unusable(path, "a text in UTF-8 or UTF-16", f"bytes of a file of another kind in line {number}")
    return text, notes


def _as_text(contents: bytes, path: Path) -> tuple[str, tuple[str, ...]]:
    for encoding in _encodings(contents):
        try:
            return contents.decode(encoding), ()
        except UnicodeDecodeError:
            continue
    note = f"{printable(path.name)} is no UTF-8 and was read as Windows-1252: save it as UTF-8 if names look wrong"
    return contents.decode("cp1252", errors="replace"), (note,)


def _encodings(contents: bytes) -> Iterator[str]:
    """Yield the encodings to try, by the byte order mark or by the bytes that are 0 in texts of UTF-16."""
    if contents.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield "utf-16"
    start = contents[:1000]
    if len(start) > 1 and start[1::2].count(0) > 0.4 * len(start[1::2]):
        yield "utf-16-le"
    if len(start) > 1 and start[::2].count(0) > 0.4 * len(start[::2]):
        yield "utf-16-be"
    yield "utf-8-sig"


def _delimiter(text: str) -> str:
    """Return the delimiter that is most frequent outside quotation marks in the first line with text."""
    header = next((line for line in text[:_MAX_HEADER].splitlines() if line.strip()), "")
    bare = _QUOTED.sub("", header)
    return max(_DELIMITERS, key=bare.count)


def _fitting(values: list[str], header: list[str], path: Path, number: int) -> list[str]:
    """Return values of the length of the header; empty values at the end may be missing or too many."""
    extra = values[len(header) :]
    if any(value.strip() for value in extra):
        found = f"{len(values)} values in line {number}"
        names = ", ".join(map(shown, header[:3]))
        raise unusable(
            path,
            f"{counted(len(header), 'value')} in each line, as in the first line, {names}",
            found,
            "the first line has to name the columns: remove the lines before it, or correct the line",
        )
    return [value.strip() for value in values[: len(header)]] + [""] * (len(header) - len(values))


def _check_header(path: Path, header: Sequence[str]) -> None:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise unusable(path, "different names of the columns", f"twice {', '.join(map(shown, twice))}")
