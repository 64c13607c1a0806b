"""TensorFlow's switch for operations that give the same bits each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deterministic_operations(wanted: bool) -> Iterator[None]:
    """Switches op determinism on, if wanted, and at the end back to what it was.

    TensorFlow has a public switch for on, none for off; but left on, it would forbid a user's own later work every
    random operation without a seed.
    """
    from tensorflow.python.util import _pywrap_determinism as determinism

    before = determinism.is_enabled()
    if wanted:
        determinism.enable(True)
    try:
        yield
    finally:
        determinism.enable(before)
