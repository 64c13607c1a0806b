"""Names of split folders and of class folders."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from saccade.data.dataset import SplitName

_SPLIT_WORDS: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "holdout": "test",
}
# Words that say nothing about the contents, unlike "tube" in "test_tube".
_GENERAL_WORDS = frozenset(
    {"data", "dataset", "datasets", "dir", "file", "files", "folder", "image", "images", "img", "imgs", "photo"}
    | {"photos", "pic", "pics", "picture", "pictures", "sample", "samples", "set", "split"}
)
_UNLABELED_WORDS = frozenset(
    {"all", "image", "images", "pred", "predict", "prediction", "predictions", "unknown", "unlabeled", "unlabelled"}
    | {"unsup", "unsupervised"}
)
# Words of a name such as "seg_train", "test images", "TrainData" or "Test-Set"; digits are words of their own.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
# Names without a separator, such as "trainset" and "testdata".
_JOINED = re.compile(rf"({'|'.join(sorted(_SPLIT_WORDS, key=len, reverse=True))})({'|'.join(sorted(_GENERAL_WORDS))})")


class SplitFolderName(NamedTuple):
    """Meaning of the name of a folder that may hold a split.

    Attributes:
        split: split for which the name stands.
        rest: other words of the name in lower case, such as ("seg",) for "seg_train"; empty for "Train".
    """

    split: SplitName
    rest: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Whether the name has no other words."""
        return not self.rest

    @property
    def subject(self) -> tuple[str, ...]:
        """Other words that may say something about the contents, such as ("seg",); empty for "train_set"."""
        return tuple(word for word in self.rest if word not in _GENERAL_WORDS)


def split_of_folder(name: str) -> SplitName | None:
    """Return the split for which a folder name without other words stands, in any case; None for other names."""
    return _SPLIT_WORDS.get(name.lower())


def split_folder_name(name: str) -> SplitFolderName | None:
    """Return the meaning of the name of a split folder, also with other words before or after; None for other names.

    The word for the split is the first or the last word of the name. A name with words for two splits has no meaning.
    """
    plain = split_of_folder(name)
    if plain is not None:
        return SplitFolderName(plain, ())
    words = [word.lower() for word in _WORDS.findall(unicodedata.normalize("NFC", name))]
    joined = [_JOINED.fullmatch(word) for word in words]
    words = [part for word, match in zip(words, joined, strict=True) for part in (match.groups() if match else [word])]
    found = [position for position, word in enumerate(words) if word in _SPLIT_WORDS]
    if len(found) != 1 or found[0] not in (0, len(words) - 1):
        return None
    (position,) = found
    return SplitFolderName(_SPLIT_WORDS[words[position]], tuple(words[:position] + words[position + 1 :]))


def is_unlabeled_name(name: str) -> bool:
    """Return whether a folder inside a split, of this name, holds images without labels, as in `test/test`."""
    return name.lower() in _UNLABELED_WORDS or split_folder_name(name) is not None


def class_name_of_folder(name: str) -> str:
    """Return the class name of a folder in the composed form of Unicode (NFC): macOS decomposes "é" in names."""
    return unicodedata.normalize("NFC", name)


def sorted_class_names(names: Iterable[str]) -> list[str]:
    """Return class names in the order of their labels: as numbers if all are whole numbers, else as text."""
    ordered = sorted(names)
    if all(name.isascii() and name.isdecimal() for name in ordered):
        ordered.sort(key=int)
    return ordered


def normalize_class_name(name: str) -> str:
    """Return a class name in lower case without white space, hyphens and underscores, for comparisons."""
    return "".join(class_name_of_folder(name).casefold().replace("_", " ").replace("-", " ").split())
