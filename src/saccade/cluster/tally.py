"""Count of finished and unreadable images over all nodes: an actor on the node of the command."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saccade.errors import DataError

_SHOWN = 3


@dataclass(frozen=True)
class Count:
    """Count of the images of a listing.

    Attributes:
        finished: number of images with a row.
        unreadable: number of unreadable ones among them.
        examples: reasons of the first of them, by their ids.
        is_exceeded: whether more are unreadable than is allowed.
    """

    finished: int
    unreadable: int
    examples: Mapping[int, str]
    is_exceeded: bool


class Tally:
    """Count of images, in which an image counts once however often it is computed.

    Args:
        limit: largest number of unreadable images; None for any number.
        finished: ids of the images that an earlier start finished.
        unreadable: reasons of the unreadable ones among them, by id.
    """

    def __init__(self, limit: int | None, finished: Sequence[int], unreadable: Mapping[int, str]) -> None:
        self._limit = limit
        self._finished = set(finished)
        self._unreadable = dict(unreadable)

    def add(self, ids: Sequence[int], unreadable: Mapping[int, str]) -> bool:
        """Count images; return whether the number of unreadable ones is allowed."""
        self._finished.update(ids)
        self._unreadable.update(unreadable)
        return not self._is_exceeded()

    def count(self) -> Count:
        """Return the count."""
        examples = {i: self._unreadable[i] for i in sorted(self._unreadable)[:_SHOWN]}
        return Count(len(self._finished), len(self._unreadable), examples, self._is_exceeded())

    def _is_exceeded(self) -> bool:
        return self._limit is not None and len(self._unreadable) > self._limit


def parse_budget(text: str, total: int) -> int:
    """Return the largest number of unreadable images, of "1%" or "100", for a listing of `total` images.

    Raises:
        DataError: the text is neither a share nor a whole number.
    """
    if share := re.fullmatch(r"(\d+(?:\.\d+)?)%", text):
        if float(share[1]) <= 100:
            return math.floor(float(share[1]) / 100 * total)
    elif text.isdecimal():
        return int(text)
    raise DataError(
        "the number of unreadable images that is allowed can't be read",
        expected="a share such as 1%, or a whole number",
        found=repr(text),
    )
