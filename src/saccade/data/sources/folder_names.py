"""Names of split folders and of class folders."""

from __future__ import annotations

from collections.abc import Mapping

from saccade.data.dataset import SplitName

_SPLIT_FOLDERS: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


def split_of_folder(name: str) -> SplitName | None:
    """Return the split for which a folder name stands, in any case; None for the name of a class."""
    return _SPLIT_FOLDERS.get(name.lower())


def normalize_class_name(name: str) -> str:
    """Return a class name in lower case without white space, hyphens and underscores, for comparisons."""
    return "".join(name.casefold().replace("_", " ").replace("-", " ").split())
