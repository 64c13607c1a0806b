"""Names of the files with results of a run: measurements of its weights that can be repeated."""

from __future__ import annotations

import re

from saccade.data.dataset import SPLIT_NAMES

EVALUATION_FILES = (
    ("report", ".json"), ("predictions", ".safetensors"), ("confusion_matrix", ".png"), ("predictions", ".png"),
)  # fmt: skip
"""Stem and suffix of the files of `evaluate`; `RunSplit.file_suffix` stands between them."""

ROBUSTNESS_FILES = (("robustness", ".json"), ("robustness", ".png"))
"""Stem and suffix of the files of `evaluate --corruptions`; `RunSplit.file_suffix` stands between them."""

PAGE = "report.html"
"""Name of the page that `report` writes."""

HASH_DIGITS = 8
"""Digits of the hash in the name of a file with results on other data than the run's own."""

_SUFFIX = rf"(-({'|'.join(SPLIT_NAMES)})(-.*-[0-9a-f]{{{HASH_DIGITS}}})?)?"
_RESULT = re.compile(
    "|".join(rf"{stem}{_SUFFIX}{re.escape(end)}" for stem, end in (*EVALUATION_FILES, *ROBUSTNESS_FILES))
    + f"|{re.escape(PAGE)}",
    re.DOTALL,
)


def is_result(name: str) -> bool:
    """Return whether a file of a run holds results, by its name. The model card is recognized by its contents."""
    return _RESULT.fullmatch(name) is not None
