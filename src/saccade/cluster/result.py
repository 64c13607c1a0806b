"""Result of work on a Ray cluster."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ClusterResult:
    """Result of the work on a listing.

    Attributes:
        out: place of the results.
        num_images: number of images, each of which has one row.
        num_unreadable: number of rows with a reason instead of a result.
        num_continued: number of rows that an earlier start of the command had finished.
        workers: number of workers.
        nodes: addresses of the nodes.
        notes: sentences about the files that were left out.
    """

    out: str
    num_images: int
    num_unreadable: int
    num_continued: int
    workers: int
    nodes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return asdict(self)
