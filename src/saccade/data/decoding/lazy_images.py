"""Sequences of images that are made or fetched when they are asked for, in the thread that decodes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload


class LazyImages(Sequence[bytes | str]):
    """Contents or paths of images, made when they are asked for."""

    @abstractmethod
    def at(self, positions: Sequence[int]) -> list[bytes | str]:
        """Return the images at positions."""

    @overload
    def __getitem__(self, position: int) -> bytes | str: ...

    @overload
    def __getitem__(self, position: slice) -> list[bytes | str]: ...

    def __getitem__(self, position: int | slice) -> bytes | str | list[bytes | str]:
        if isinstance(position, slice):
            return self.at(range(*position.indices(len(self))))
        return self.at([position])[0]


class PickedImages(LazyImages):
    """Images of a sequence at positions.

    Args:
        images: the sequence.
        positions: positions in the sequence.
    """

    def __init__(self, images: Sequence[bytes | str], positions: Sequence[int]) -> None:
        self._images, self._positions = images, positions

    def __len__(self) -> int:
        return len(self._positions)

    def at(self, positions: Sequence[int]) -> list[bytes | str]:
        """Return the images at positions."""
        return images_at(self._images, [self._positions[position] for position in positions])


def images_at(images: Sequence[bytes | str], positions: Sequence[int]) -> list[bytes | str]:
    """Return the images of any sequence at positions; those of `LazyImages` all at once."""
    if isinstance(images, LazyImages):
        return images.at(positions)
    return [images[position] for position in positions]
