"""JSON with a schema: a dataclass that is written as JSON is read back as an equal dataclass.

The messages between Saccade's own processes and the files of the cache have this form. JSON has no tuples, and
`json.loads` accepts any keys and values; here the type hints of the dataclass are the schema, so that a tuple is read
back as a tuple, and a message of another type is an error. The reader is small because a decoding process has to start
in 0.2 s. Records of runs, which may come from other people, are read by pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

_Value = TypeVar("_Value")
_Reader = Callable[[Any], Any]

_PLAIN = frozenset({str, int, bool, NoneType})


def to_json(value: object) -> str:
    """Encode a value as one line of JSON: a dataclass as an object of its fields, a tuple as a list.

    Raises:
        ValueError: a number is infinite or not a number.
    """
    return json.dumps(value, default=vars, allow_nan=False)


def from_json(kind: type[_Value], text: str | bytes) -> _Value:
    """Decode JSON as a value of a type; for what `to_json` wrote, an equal value.

    Args:
        kind: a dataclass, or str, int, float, bool, None, a Literal, or a tuple, Sequence (read as a tuple), Mapping
            with keys of str, NamedTuple or union of such types.
        text: JSON.

    Raises:
        ValueError: the text is no JSON, or JSON of another type: a key is missing or unknown, or a value is of
            another type.
    """
    return cast("_Value", _reader(cast("Any", kind))(json.loads(text)))


@cache
def _reader(kind: Any) -> _Reader:
    """Return the function that converts a value of `json.loads` to a value of a type."""
    arguments = get_args(kind)
    makers: dict[Any, Callable[[], _Reader]] = {
        Literal: lambda: lambda value: value if value in arguments else _fail(kind, value),
        Union: lambda: _union_reader(kind),
        UnionType: lambda: _union_reader(kind),
        Sequence: lambda: _list_reader(arguments[0]),
        tuple: lambda: _list_reader(arguments[0]) if arguments[1:] == (...,) else _row_reader(arguments, _tuple_of),
        Mapping: lambda: _mapping_reader(*arguments),
    }
    if (types := _plain_types(kind)) is not None:
        return lambda value: value if type(value) in types else _fail(kind, value)
    if kind is float:
        return lambda value: float(value) if type(value) in (float, int) else _fail(kind, value)
    if (maker := makers.get(get_origin(kind))) is not None:
        return maker()
    if is_dataclass(kind):
        return _dataclass_reader(kind)
    return _row_reader(tuple(get_type_hints(kind).values()), kind)  # a NamedTuple


def _tuple_of(*values: Any) -> tuple[Any, ...]:
    return values


def _plain_types(kind: Any) -> frozenset[type] | None:
    """Return the Python types of a type that needs no conversion from JSON; None for other types."""
    types = frozenset(get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,))
    return types if types <= _PLAIN else None


def _list_reader(item: Any) -> _Reader:
    read, types = _reader(item), _plain_types(item)
    if types is None:
        return lambda value: tuple(map(read, _only_list(value)))
    known = types

    def plain(value: Any) -> Any:
        # Lists can have a million items: one set of types is much faster than one call for each item.
        return tuple(value) if type(value) is list and known.issuperset(map(type, value)) else _fail(item, value)

    return plain


def _row_reader(items: tuple[Any, ...], make: Callable[..., Any]) -> _Reader:
    readers = [_reader(item) for item in items]

    def read(value: Any) -> Any:
        if len(_only_list(value)) != len(readers):
            _fail(items, value)
        return make(*[reader(item) for reader, item in zip(readers, value, strict=True)])

    return read


def _union_reader(kind: Any) -> _Reader:
    readers = [_reader(member) for member in get_args(kind)]

    def read(value: Any) -> Any:
        for reader in readers:
            try:
                return reader(value)
            except ValueError:
                continue
        return _fail(kind, value)

    return read


def _mapping_reader(_keys: Any, values: Any) -> _Reader:
    read = _reader(values)
    return lambda value: {key: read(item) for key, item in _only_object(value).items()}


def _dataclass_reader(kind: Any) -> _Reader:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}

    def read(value: Any) -> Any:
        if _only_object(value).keys() != readers.keys():
            _fail(kind, value)
        return kind(**{name: reader(value[name]) for name, reader in readers.items()})

    return read


def _only_list(value: Any) -> list[Any]:
    return value if type(value) is list else _fail(list, value)


def _only_object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else _fail(dict, value)


def _fail(kind: Any, value: Any) -> Any:
    raise ValueError(f"expected JSON of {getattr(kind, '__name__', kind)}, found {str(value)[:100]!r}")
