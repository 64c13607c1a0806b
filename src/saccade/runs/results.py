"""The names of the files in which a run keeps results: what was measured of its weights and can be measured again."""

from __future__ import annotations

import re

from saccade.data.dataset import SPLIT_NAMES

EVALUATION_FILES = (
    ("report", ".json"), ("predictions", ".safetensors"), ("confusion_matrix", ".png"), ("predictions", ".png"),
)  # fmt: skip
"""What `evaluate` writes; between both parts stands `RunSplit.file_suffix`."""

ROBUSTNESS_FILES = (("robustness", ".json"), ("robustness", ".png"))
"""What `evaluate --corruptions` writes, named in the same way."""

PAGE = "report.html"
"""The page that `report` writes."""

HASH_DIGITS = 8
"""Of the hash in the name of a file with results on other data than the run's own."""

_SUFFIX = rf"(-({'|'.join(SPLIT_NAMES)})(-.*-[0-9a-f]{{{HASH_DIGITS}}})?)?"
_RESULT = re.compile(
    "|".join(rf"{stem}{_SUFFIX}{re.escape(end)}" for stem, end in (*EVALUATION_FILES, *ROBUSTNESS_FILES))
    + f"|{re.escape(PAGE)}",
    re.DOTALL,
)


def is_result(name: str) -> bool:
    """Whether a file of a run holds results, by its name. The model card is known by its contents instead."""
    return _RESULT.fullmatch(name) is not None
