"""Copying of images into folders by their predicted classes."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from saccade.atomic_io import atomic_write
from saccade.data.sources.own_folders import MARK
from saccade.errors import RunError
from saccade.inference.predict import Prediction

ABSTAINED_FOLDER = "unsure"
"""Name of the folder of images for which the run abstained from a prediction."""

_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_RESERVED = frozenset({"", ".", ".."})


def require_free_folder(folder: Path) -> None:
    """Check that the folder for the images does not exist yet, or is empty.

    Raises:
        RunError: the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(
            f"'{folder}' exists already; nothing is overwritten", remedy="name another folder with --copy-to"
        )


def copy_by_class(predictions: Sequence[Prediction], class_names: Sequence[str], folder: Path) -> dict[str, int]:
    """Copy images into a new folder with one folder for each predicted class, and `unsure` for abstentions.

    Unreadable images are not copied. A second image of the same name in a class gets a number. Either all images are
    copied or none.

    Args:
        predictions: predictions for image files.
        class_names: names of the classes of the run.
        folder: folder to make.

    Returns:
        Number of images in each folder, by the name of the folder.

    Raises:
        RunError: an image is not a file but an image of a dataset, or the folder can't be written.
    """
    require_free_folder(folder)
    folder_names = _folder_names(class_names)
    chosen: list[tuple[Path, str]] = []
    for prediction in predictions:
        if not prediction.top:
            continue
        source = Path(prediction.name)
        if not source.is_file():
            raise RunError(
                f"'{prediction.name}' is no file that can be copied", expected="images in files, folders or globs"
            )
        name = _abstained_name(folder_names) if prediction.abstained else folder_names[prediction.top[0].class_name]
        chosen.append((source, name))
    try:
        if folder.exists():
            folder.rmdir()  # an empty folder; the new folder replaces it
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder) as partial:
            partial.mkdir()
            _copy(chosen, partial)
            (partial / MARK).touch()  # within the data, the copies are none of the data's images
    except OSError as error:
        raise RunError(
            f"the images can't be copied to '{folder}': {error.strerror}", remedy="name another folder with --copy-to"
        ) from None
    return dict(sorted(Counter(name for _, name in chosen).items()))


def _copy(chosen: Sequence[tuple[Path, str]], folder: Path) -> None:
    used: set[Path] = set()
    for source, name in chosen:
        target, number = folder / name / source.name, 1
        while Path(str(target).casefold()) in used:
            number += 1
            target = folder / name / f"{source.stem}-{number}{source.suffix}"
        used.add(Path(str(target).casefold()))
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)


def _folder_names(class_names: Sequence[str]) -> dict[str, str]:
    """Return a name that a folder can have for each class; different names for different classes."""
    names: dict[str, str] = {}
    for class_name in class_names:
        plain = _UNSAFE.sub("_", class_name).strip(" ")
        name = plain = f"class {plain}" if plain in _RESERVED else plain
        number = 1
        while name.casefold() in {used.casefold() for used in names.values()}:
            number += 1
            name = f"{plain}-{number}"
        names[class_name] = name
    return names


def _abstained_name(folder_names: dict[str, str]) -> str:
    used = {name.casefold() for name in folder_names.values()}
    return ABSTAINED_FOLDER if ABSTAINED_FOLDER not in used else f"{ABSTAINED_FOLDER} (abstained)"
