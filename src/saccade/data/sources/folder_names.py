"""Names of split folders and of class folders."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
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
# Words without a meaning for the contents, unlike "tube" in "test_tube".
_GENERAL_WORDS = frozenset(
    {"data", "dataset", "datasets", "dir", "file", "files", "folder", "image", "images", "img", "imgs", "photo"}
    | {"photos", "pic", "pics", "picture", "pictures", "sample", "samples", "set", "split"}
)
_UNLABELED_NAMES = frozenset({"all", "image", "images", "unknown"})
_UNLABELED_WORDS = frozenset(
    {"pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "unsup", "unsupervised"}
)
_DOCUMENT_NAMES = frozenset({"doc", "docs", "documentation"})
_RUNS = re.compile(r"[^\W\d_]+|\d+")
# Words of a run such as "TrainData".
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
# Names without a separator, such as "trainset" and "testdata".
_JOINED = re.compile(
    rf"({'|'.join(sorted(_SPLIT_WORDS, key=len, reverse=True))})({'|'.join(sorted(_GENERAL_WORDS | {'val'}))})"
)


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
        """Other words that may say something about the contents, such as ("seg",); empty for "train_set_2"."""
        return tuple(word for word in self.rest if word not in _GENERAL_WORDS and not word.isdecimal())


def split_of_folder(name: str) -> SplitName | None:
    """Return the split for which a folder name without other words stands, in any case; None for other names."""
    return _SPLIT_WORDS.get(name.strip().lower())


def split_folder_name(name: str) -> SplitFolderName | None:
    """Return the meaning of the name of a split folder, also with other words before or after; None for other names.

    A name with words for two splits has no meaning, except that "trainval" and "train_val" are training splits.
    """
    plain = split_of_folder(name)
    if plain is not None:
        return SplitFolderName(plain, ())
    words = _words(name)
    splits = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
    rest = tuple(word for word in words if word not in _SPLIT_WORDS)
    if splits == {"train", "validation"}:
        splits = {"train"}
    if len(splits) != 1:
        return None
    return SplitFolderName(splits.pop(), rest)


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case; "trainset" and "trainval" are two words each."""
    return [word for run in _RUNS.findall(unicodedata.normalize("NFC", name)) for word in _words_of_run(run)]


def _words_of_run(run: str) -> Sequence[str]:
    """Return the words of a run of letters, which may be in camel case, or of a number."""
    if run.lower() in _SPLIT_WORDS:
        return [run.lower()]
    joined = _JOINED.fullmatch(run.lower())
    return joined.groups() if joined else [word.lower() for word in _WORDS.findall(run)]


def is_unlabeled_name(name: str, subjects: Collection[tuple[str, ...]] | None = None) -> bool:
    """Return whether a folder of this name holds images without labels, as in `test/test` or `pred`.

    Args:
        name: name of the folder.
        subjects: subjects of names of splits that count; None for all subjects.
    """
    meaning = split_folder_name(name)
    if meaning is not None:
        return subjects is None or meaning.subject in subjects
    return name.lower() in _UNLABELED_NAMES or not _UNLABELED_WORDS.isdisjoint(_words(name))


def is_document_name(name: str) -> bool:
    """Return whether a folder of this name holds the documentation of a data set, where figures may be."""
    return name.lower() in _DOCUMENT_NAMES


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
