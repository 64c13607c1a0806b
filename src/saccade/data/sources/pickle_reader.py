"""Reader of pickled dictionaries, lists, integers, bytes and arrays of bytes. Nothing in a pickle is called.

Unpickling runs functions that the file names, so an unknown pickle is never unpickled. This reader goes over the
opcodes of Python's `pickletools` (protocols 0 to 4) with a stack of its own. It knows the four names that NumPy's
arrays of bytes and Python's bytes need, without importing them; any other name is an error.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_MAX_OPCODES = 10_000_000
_MAX_DEPTH = 4
_ARRAYS = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
_KNOWN = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), *_ARRAYS}
_CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_VALUES = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class UnknownPickleError(ValueError):
    """A pickle that is damaged or holds anything but the known kinds of values."""


@dataclass(frozen=True)
class _Name:
    module: str
    name: str


@dataclass
class _Array:
    value: Any = None


class _Dtype:
    """The data type of an array of bytes."""


_MARK = object()


def read_pickle(contents: bytes) -> Any:
    """Read a pickle.

    Args:
        contents: the pickle. A string of Python 2 is read as Latin-1 text.

    Returns:
        A dict, list, tuple, str, bytes, int, float, bool, None or uint8 array, or a container of these.

    Raises:
        UnknownPickleError: the pickle is damaged, or holds any other value.
    """
    try:
        return _resolved(_Reader().read(contents), 0, {})
    except UnknownPickleError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise UnknownPickleError(f"the pickle is damaged: {error}") from None


class _Reader:
    """Stack machine for the opcodes of a pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, contents: bytes) -> Any:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(contents)):
            if number > _MAX_OPCODES:
                raise UnknownPickleError("the pickle has too many values")
            if opcode.name == "STOP":
                return self._stack[-1]
            self._execute(opcode.name, argument)
        raise UnknownPickleError("the pickle ends too early")

    def _execute(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "MARK":
            stack.append(_MARK)
        elif name in {"PUT", "BINPUT", "LONG_BINPUT"}:
            self._memo[argument] = stack[-1]
        elif name in {"GET", "BINGET", "LONG_BINGET"}:
            stack.append(self._memo[argument])
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name == "POP":
            stack.pop()
        elif name not in {"PROTO", "FRAME"}:
            self._collect(name, argument)

    def _collect(self, name: str, argument: Any) -> None:
        """Execute an opcode that combines values."""
        stack = self._stack
        if name in {"TUPLE", "LIST", "DICT"}:
            items = self._above_mark()
            stack.append({"TUPLE": tuple, "LIST": list, "DICT": _dict_of}[name](items))  # type: ignore[operator]
        elif name in {"APPEND", "APPENDS"}:
            items = [stack.pop()] if name == "APPEND" else self._above_mark()
            _require(stack[-1], list).extend(items)
        elif name in {"SETITEM", "SETITEMS"}:
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else self._above_mark()
            _require(stack[-1], dict).update(_dict_of(items))
        elif name in {"GLOBAL", "STACK_GLOBAL"}:
            words = argument.split(" ", 1) if name == "GLOBAL" else [stack.pop(-2), stack.pop()]
            if tuple(words) not in _KNOWN:
                raise UnknownPickleError(f"the pickle names {'.'.join(map(str, words))}, which is not read")
            stack.append(_Name(*words))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_made(stack.pop(), _require(arguments, tuple)))
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], _Array):
                stack[-1].value = _array_of(state)
            elif not isinstance(stack[-1], _Dtype):
                raise UnknownPickleError("the pickle sets the state of a value of an unknown kind")
        else:
            raise UnknownPickleError(f"the pickle uses the opcode {name}, which is not read")

    def _above_mark(self) -> list[Any]:
        position = len(self._stack) - 1
        while self._stack[position] is not _MARK:
            position -= 1
        items = self._stack[position + 1 :]
        del self._stack[position:]
        return items


def _made(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Return the value that a known function would make."""
    if not isinstance(function, _Name):
        raise UnknownPickleError("the pickle calls a value that is no function")
    known = (function.module, function.name)
    if known in _ARRAYS:
        return _Array()
    if known == ("numpy", "dtype"):
        if arguments[0] not in ("u1", b"u1", "|u1", "uint8"):
            raise UnknownPickleError(f"the pickle holds an array of the data type {arguments[0]!r}, not of bytes")
        return _Dtype()
    if known == ("_codecs", "encode") and arguments[1:] in {("latin1",), ("latin-1",)}:
        return _require(arguments[0], str).encode("latin-1")
    raise UnknownPickleError(f"the pickle calls {function.module}.{function.name}, which is not read")


def _array_of(state: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return an array from its state in NumPy's pickles: version, shape, data type, order and bytes."""
    _, shape, dtype, is_fortran, contents = _require(state, tuple)
    if not isinstance(dtype, _Dtype):
        raise UnknownPickleError("the pickle holds an array of an unknown data type")
    contents = contents.encode("latin-1") if isinstance(contents, str) else _require(contents, bytes)
    shape = tuple(int(side) for side in shape)
    if min(shape, default=0) < 0 or math.prod(shape) != len(contents):
        raise UnknownPickleError(f"the pickle holds {len(contents)} bytes for an array of shape {shape}")
    return np.frombuffer(contents, np.uint8).reshape(shape, order="F" if is_fortran else "C")


def _dict_of(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise UnknownPickleError("the pickle is damaged: a dictionary with a key without a value")
    return dict(zip(items[::2], items[1::2], strict=True))


def _require(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise UnknownPickleError(f"the pickle is damaged: {type(value).__name__} instead of {kind.__name__}")
    return value


def _resolved(value: Any, depth: int, known: dict[int, Any]) -> Any:
    """Return a value with arrays in place of their placeholders, without names. `known` holds results by identity."""
    if depth > _MAX_DEPTH:
        raise UnknownPickleError("the pickle is nested too deeply")
    if isinstance(value, _Array) and value.value is not None:
        return value.value
    if isinstance(value, dict | list | tuple):
        if id(value) not in known:
            if isinstance(value, dict):
                known[id(value)] = {key: _resolved(item, depth + 1, known) for key, item in value.items()}
            else:
                known[id(value)] = type(value)(_resolved(item, depth + 1, known) for item in value)
        return known[id(value)]
    if value is None or isinstance(value, str | bytes | int | float):
        return value
    raise UnknownPickleError("the pickle is no dictionary of lists, bytes and arrays")
