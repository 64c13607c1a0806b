"""Classes with so few training images that they can hardly be learned."""

from __future__ import annotations

import numpy as np

from saccade.data.dataset import Dataset
from saccade.sanitize import counted, plural

_FEW = 2  # training images; one of two becomes a validation image
_ENOUGH = 12
_MAX_NAMED = 10  # classes


def small_class_notes(dataset: Dataset) -> tuple[str, ...]:
    """Return a note on the classes with two training images at most; without such a class no note.

    The counts are those before a validation split is cut from the training split.
    """
    names = dataset.class_names
    counts = np.bincount(dataset.splits["train"].labels, minlength=len(names))
    few = np.flatnonzero(counts <= _FEW)
    if not len(few):
        return ()
    listed = ", ".join(f"'{names[label]}' ({counts[label]})" for label in few[:_MAX_NAMED])
    more = f" and {len(few) - _MAX_NAMED:,} more" if len(few) > _MAX_NAMED else ""
    note = (
        f"{counted(len(few), 'class', 'classes')} {plural(len(few), 'has', 'have')} at most two training images: "
        f"{listed}{more}; a network hardly learns such a class, and too few images are left to measure its accuracy: "
        f"add images, about {_ENOUGH} of each class, or remove the {plural(len(few), 'class', 'classes')}"
    )
    return (note,)
