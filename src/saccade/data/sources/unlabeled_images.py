"""Unlabeled images: all images of a folder, at any depth, whatever the names of the folders are."""

from __future__ import annotations

from pathlib import Path

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.file_discovery import (
    Folder,
    note_on_links,
    note_on_own_folders,
    note_on_side_files,
    search_folder,
)
from saccade.data.sources.known_classes import KnownClasses
from saccade.data.sources.labeled_files import FoundImage, Listing
from saccade.errors import DataError
from saccade.sanitize import printable

UNLABELED = KnownClasses(("unlabeled",))
"""The only class of unlabeled images."""


def list_unlabeled(
    folder: Path,
    options: ReadingOptions | None = None,  # noqa: ARG001 - the parameters of `find_images`
    known: KnownClasses | None = None,  # noqa: ARG001
    *,
    place: str | None = None,
) -> Listing:
    """List the files in a folder that should be images, as one test split of one class, without opening the files.

    Args:
        folder: path of the folder.
        options: not used.
        known: not used.
        place: path of the data for messages, if it is not the folder, such as the path of an archive.

    Raises:
        DataError: the folder can't be read, or holds no image.
    """
    return unlabeled_images_of(search_folder(str(folder)), folder, place or str(folder))


def unlabeled_images_of(top: Folder, root: Path, place: str) -> Listing:
    """List the images of a folder as `list_unlabeled` does.

    Args:
        top: contents of the folder.
        root: path of the folder.
        place: path of the folder, for messages.

    Raises:
        DataError: the folder holds no image.
    """
    side_files = [file.path for file in top.all_side_files()]
    images = [FoundImage(path, "test", 0, size, changed) for path, size, changed in top.all_images()]
    if not images:
        notes = note_on_side_files(side_files)
        raise DataError(
            f"there is no image in {printable(place)}",
            expected="images, at any depth",
            found=notes[0] if notes else "no file",
            code="empty-folder",
        )
    notes = (
        *note_on_own_folders(top.all_own_folders()),
        *note_on_links(top.all_links()),
        *note_on_side_files(side_files),
    )
    return Listing(root, UNLABELED.names, images, "images without labels", tuple(map(printable, notes)), ())
