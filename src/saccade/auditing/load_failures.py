"""What to do about data that can't be loaded at all."""

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
    "class-unreadable": "mend or replace its files, or remove the class",
    "split-unreadable": "mend or replace its files",
    "split-twice": "move the images of one into the other",
    "no-training-split": "rename the folder to train with to 'train'",
}


def unusable_finding(data: str | Path, error: DataError) -> Finding:
    """The finding for data that `load` refuses, with the fix as exact as the error and the folders allow."""
    kind = error.code if error.code in _FIXES else "unusable"
    fix = _FIXES.get(kind, "mend what the sentence says")
    summary = error.problem + (f": {error.found}" if error.found else "")
    renames = _renames(Path(data)) if kind == "class-missing" else []
    return Finding(kind, "error", summary, "; ".join(renames) or error.remedy or fix)


def _renames(root: Path) -> list[str]:
    """For classes that two splits spell differently, the renaming; for the others, what is missing."""
    folders = {
        name: set(list_folder(str(root / name)).folders)
        for name in list_folder(str(root)).folders
        if split_of_folder(name)
    }
    train = next((name for name in folders if split_of_folder(name) == "train"), None)
    if train is None:
        return []
    return [step for name in folders if name != train for step in _steps(name, folders[name], train, folders[train])]


def _steps(split: str, there: set[str], train: str, wanted: set[str]) -> list[str]:
    steps, extra = [], there - wanted
    for missing in sorted(wanted - there):
        same = next(
            (name for name in sorted(extra) if normalize_class_name(name) == normalize_class_name(missing)), None
        )
        if same is None:
            steps.append(printable(f"add images to {split}/{missing}, or remove {train}/{missing}"))
        else:
            extra.discard(same)
            steps.append(printable(f"rename {split}/{same} to {split}/{missing}"))
    return steps + [printable(f"add images to {train}/{name}, or remove {split}/{name}") for name in sorted(extra)]
