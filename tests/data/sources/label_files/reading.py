"""Reading of a label file in a test: what is read, in short, or the error."""

import pytest

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.image_folder import find_images
from saccade.data.sources.label_files.label_file import list_label_file
from saccade.errors import DataError


def listing_of(path, **options):
    """Return the listing of a label file or of a folder."""
    reading = ReadingOptions(**options)
    return find_images(path, reading) if path.is_dir() else list_label_file(path, reading)


def labels(path, **options):
    """Return the class of each image by its path."""
    listing = listing_of(path, **options)
    return {image.path: listing.class_names[image.label] for image in listing.images}


def splits(path, **options):
    """Return the split and class of each image by its path."""
    listing = listing_of(path, **options)
    return {image.path: f"{image.split}/{listing.class_names[image.label]}" for image in listing.images}


def notes(path, **options):
    """Return the notes."""
    return listing_of(path, **options).notes


def failure(path, **options):
    """Return the message of the error."""
    with pytest.raises(DataError) as caught:
        listing_of(path, **options)
    assert caught.value.code == "label-file", caught.value
    return str(caught.value)
