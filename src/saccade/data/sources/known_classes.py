"""Classes of a classifier that is scored on data: the data may lack classes, and may have no other classes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.folder_names import class_name_of_folder, normalize_class_name
from saccade.errors import DataError
from saccade.sanitize import listed_names, printable


@dataclass(frozen=True)
class KnownClasses:
    """Classes of a classifier.

    Attributes:
        names: names of the classes, in the order of the classifier's outputs.
        ignore_case: whether a class of the data may differ in upper and lower case.
    """

    names: tuple[str, ...]
    ignore_case: bool = False

    @classmethod
    def of(cls, names: tuple[str, ...], options: ReadingOptions | None) -> KnownClasses:
        """Return the classes of a classifier, with the case of the names as the options say."""
        return cls(names, options is not None and options.ignore_case)

    def key(self) -> str:
        """Return a text that differs between different classes."""
        return f"known:{hashlib.sha256(repr(self).encode(errors='surrogateescape')).hexdigest()}"

    def match(self, found: Collection[str]) -> dict[str, str]:
        """Return the name of the classifier's class for each class of the data.

        Raises:
            DataError: a class of the data is unknown.
        """
        exact = {class_name_of_folder(name): name for name in self.names}
        folded = {name.casefold(): name for name in exact} if self.ignore_case else {}
        matched = {name: exact.get(printable(name)) or folded.get(printable(name).casefold()) for name in found}
        unknown = sorted(name for name, known in matched.items() if known is None)
        if unknown:
            raise self._unknown(unknown)
        return {name: str(known) for name, known in matched.items()}

    def _unknown(self, unknown: list[str]) -> DataError:
        spelled = {normalize_class_name(name): name for name in self.names}
        first, known = unknown[0], spelled.get(normalize_class_name(unknown[0]))
        if known is not None and known.casefold() == printable(first).casefold():
            remedy = f"if {printable(first)} is {known}, add --ignore-case"
        elif known is not None:
            remedy = f"if {printable(first)} is {known}, give it this name"
        else:
            remedy = "leave these images out, or train on data that has all classes"
        return DataError(
            "the data has classes that the run does not know",
            expected=f"the classes {listed_names(self.names)}",
            found=listed_names(unknown),
            remedy=remedy,
            code="unknown-class",
        )
