"""Findings on data that can't be loaded."""

from __future__ import annotations

from saccade.auditing.findings import Finding
from saccade.errors import DataError

_FIXES = {
    "empty-folder": "put the images in as CLASS/image, or train/CLASS/image and test/CLASS/image",
    "no-classes": "make a folder for each class and sort the images into them",
    "one-class": "add a folder with images that do not belong to the class, such as 'other'",
    "class-case": "give each class one spelling",
    "class-missing": "give every split the same class folders",
    "class-empty": "add images to the folder, or remove it",
    "class-unreadable": "repair or replace its files, or remove the class",
    "split-unreadable": "repair or replace its files",
    "split-or-class": "give the folder of the training images alone",
    "split-twice": "move the images of one folder into the other folder",
    "no-training-split": "rename the folder of the training images to 'train'",
}


def unusable_finding(error: DataError) -> Finding:
    """Return the finding on data that `load` can't load, with the remedy of the error or a fix for its kind."""
    kind = error.code if error.code in _FIXES else "unusable"
    fix = _FIXES.get(kind, "correct the reported problem")
    summary = error.problem + (f": {error.found}" if error.found else "")
    return Finding(kind, "error", summary, error.remedy or fix)
