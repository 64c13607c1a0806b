"""Findings on data that can't be loaded."""

from __future__ import annotations

from pathlib import Path

from saccade.auditing.findings import Finding
from saccade.data.sources.file_discovery import list_folder
from saccade.data.sources.folder_names import normalize_class_name, split_of_folder
from saccade.errors import DataError
from saccade.sanitize import printable

_FIXES = {
    "empty-folder": "put the images in as CLASS/image, or train/CLASS/image and test/CLASS/image",
    "no-classes": "make a folder for each class and sort the images into them",
    "one-class": "add a folder with images that do not belong to the class, such as 'other'",
    "class-missing": "give every split the same class folders",
    "class-empty": "add images to the folder, or remove it",
    "class-unreadable": "repair or replace its files, or remove the class",
    "split-unreadable": "repair or replace its files",
    "split-twice": "move the images of one folder into the other folder",
    "no-training-split": "rename the folder of the training images to 'train'",
}


def unusable_finding(data: str | Path, error: DataError) -> Finding:
    """Return the finding on data that `load` can't load, with a fix from the folders or the error."""
    kind = error.code or "unusable"
    fix = _FIXES.get(kind, "correct the reported problem")
    summary = error.problem + (f": {error.found}" if error.found else "")
    renames = _renames(Path(data)) if kind == "class-missing" else []
    return Finding(kind, "error", summary, "; ".join(renames) or error.remedy or fix)


def _renames(root: Path) -> list[str]:
    """Return the fixes of different classes in the splits: folders to rename and missing folders."""
    folders = {
        name: set(list_folder(str(root / name)).folders)
        for name in list_folder(str(root)).folders
        if split_of_folder(name)
    }
    train = next((name for name in folders if split_of_folder(name) == "train"), None)
    if train is None:
        return []
    return [step for name in folders if name != train for step in _steps(name, folders[name], train, folders[train])]


def _steps(split: str, present: set[str], train: str, required: set[str]) -> list[str]:
    steps, extra = [], present - required
    for missing in sorted(required - present):
        same = next(
            (name for name in sorted(extra) if normalize_class_name(name) == normalize_class_name(missing)), None
        )
        if same is None:
            steps.append(printable(f"add images to {split}/{missing}, or remove {train}/{missing}"))
        else:
            extra.discard(same)
            steps.append(printable(f"rename {split}/{same} to {split}/{missing}"))
    return steps + [printable(f"add images to {train}/{name}, or remove {split}/{name}") for name in sorted(extra)]
