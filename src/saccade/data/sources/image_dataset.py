"""Datasets from images in a folder or an archive, decoded or read from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from saccade.data.cache import disk_cache
from saccade.data.cache.decoded_cache import DecodedData, Index
from saccade.data.dataset import FULL_BITS, SPLIT_NAMES, Dataset, Preprocessing, SplitName, UnreadableImage
from saccade.data.decoding.decode_files import read_headers
from saccade.data.image_size import PreprocessingOptions, default_preprocessing, preprocessing_for
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.archives import archive_stem, is_archive, unpacked, unpacking_notes
from saccade.data.sources.cifar_batches import find_batch_files, load_batches
from saccade.data.sources.file_discovery import Folder, FoundFile
from saccade.data.sources.image_folder import find_images
from saccade.data.sources.image_readers import CacheReader, ImageReader, Reading, StreamReader
from saccade.data.sources.known_classes import KnownClasses
from saccade.data.sources.label_files.label_file import USUAL_STEMS, list_label_file
from saccade.data.sources.labeled_files import FoundImage, LabeledFiles, Listing, list_images
from saccade.data.sources.memory.labeled_images import IN_MEMORY, LabeledImages
from saccade.data.sources.remote_images import ImagesByAddress, is_remote
from saccade.data.sources.scan_cache import (
    Scan,
    cached_archive_hash,
    file_metadata,
    find_scan,
    find_touched_scan,
    fingerprint_of_files,
    keep_scan,
)
from saccade.data.sources.unlabeled_images import UNLABELED, list_unlabeled
from saccade.data.splits import is_test_by_hash
from saccade.errors import DataError
from saccade.sanitize import counted, printable

_SAMPLED_HEADERS = 64
_FEW_BITS = 14  # of a 16-bit sample: without a note, an underexposed image may use 15
_MIN_CLASSES = 2
_NAME_IN_MEMORY = "images"


def load_folder(
    folder: Path,
    wanted: Preprocessing | PreprocessingOptions,
    options: ReadingOptions,
    known: KnownClasses | None = None,
    *,
    progress: bool,
) -> Dataset:
    """Load the images of a folder; where only the fit is given, the size depends on the sizes of the images.

    Args:
        folder: path of the folder.
        wanted: preprocessing of the images, or its options.
        options: options for reading.
        known: classes of a classifier that is to be scored on the images; None for data to train on.
        progress: whether to show progress on standard error.

    Raises:
        DataError: the folder holds no usable classes of images.
    """
    kind = _Kind(f"folder:{folder}", folder.name, str(folder), wanted, options, known)
    return _load_listing(find_images(folder, options, known), kind, progress=progress)


def load_label_file(
    path: Path,
    wanted: Preprocessing | PreprocessingOptions,
    options: ReadingOptions,
    known: KnownClasses | None = None,
    *,
    progress: bool,
) -> Dataset:
    """Load the images that a label file names, as `load_folder` does.

    Raises:
        DataError: the label file can't be used.
    """
    stem = path.name.rpartition(".")[0]
    name = path.parent.name if stem.lower() in USUAL_STEMS and path.parent.name else stem
    kind = _Kind(f"folder:{path}", name, str(path), wanted, options, known)
    return _load_listing(list_label_file(path, options, known), kind, progress=progress)


@dataclass(frozen=True)
class _Kind:
    """What is loaded, and how.

    Attributes:
        key: key of the data in the cache.
        name: name of the data.
        source: path of the data.
        wanted: preprocessing of the images, or its options.
        options: options for reading.
        known: classes of a classifier that is to be scored on the images; None for data to train on.
        contents: contents or paths of images in memory, in the order of their listing; None for a listing of files.
    """

    key: str
    name: str
    source: str
    wanted: Preprocessing | PreprocessingOptions
    options: ReadingOptions
    known: KnownClasses | None
    contents: Sequence[bytes | str] | None = None

    @property
    def cache_key(self) -> str:
        return self.key + self.options.key() + ("" if self.known is None else self.known.key())

    def sources(self, listing: Listing) -> Sequence[bytes | str]:
        """Return the path or the contents of each image of a listing."""
        if self.contents:
            return self.contents
        if not any(is_remote(found.path) for found in listing.images):
            return [f"{listing.root}/{found.path}" for found in listing.images]
        paths = [found.path if is_remote(found.path) else f"{listing.root}/{found.path}" for found in listing.images]
        return ImagesByAddress(paths, [found.size for found in listing.images])

    def dataset(self, decoded: DecodedData, scan: Scan, root: str = "", notes: Sequence[str] = ()) -> Dataset:
        return decoded.dataset(
            name=self.name,
            source=self.source,
            layout=scan.layout,
            root=root,
            notes=(*notes, *scan.notes),
            strays=scan.strays,
            reading=self.options,
        )


def load_images(
    images: LabeledImages,
    wanted: Preprocessing | PreprocessingOptions,
    options: ReadingOptions,
    known: KnownClasses | None = None,
    *,
    progress: bool,
) -> Dataset:
    """Load images in memory, as `load_folder` does.

    Raises:
        DataError: the images or their classes can't be used.
    """
    listing = _listing_of(images, options, known)
    positions = {name: position for position, name in enumerate(images.names)}
    ordered = images.images.in_order([positions[found.path] for found in listing.images])
    signature = images.signature()
    kind = _Kind(f"memory:{signature}", _NAME_IN_MEMORY, IN_MEMORY, wanted, options, known, ordered)
    return _load_scanned(find_scan(kind.cache_key, signature), listing, signature, kind, progress=progress)


def _listing_of(images: LabeledImages, options: ReadingOptions, known: KnownClasses | None) -> Listing:
    """Return the listing of images in memory: the name of an image stands for its path."""
    splits: dict[SplitName, dict[str, list[FoundFile]]] = {}
    for name, label, split in zip(images.names, images.labels, images.splits, strict=True):
        splits.setdefault(split, {}).setdefault(label, []).append(FoundFile(name, 1, 0))
    if known is None and "train" not in splits:
        raise DataError(
            "there are no images to train with", found=f"only {', '.join(splits)}", code="no-training-split"
        )
    labeled = LabeledFiles(
        where="the images in memory",
        root="",
        splits={split: splits[split] for split in SPLIT_NAMES if split in splits},
        split_names={},
        folders={},
        side_files=[],
        layout="images in memory",
        notes=images.notes,
        groups={name: group for name, group in zip(images.names, images.groups, strict=True) if group}
        if images.groups
        else {},
    )
    return list_images(Path(), labeled, Folder("", ""), options, known)


def _load_listing(listing: Listing, kind: _Kind, *, progress: bool) -> Dataset:
    """Load the images of a listing of files at a path."""
    signature = listing.signature()
    scan = find_scan(kind.cache_key, signature) or find_touched_scan(kind.cache_key, listing, kind.name)
    return _load_scanned(scan, listing, signature, kind, str(listing.root), progress=progress)


def _load_scanned(
    scan: Scan | None,
    listing: Listing,
    signature: str,
    kind: _Kind,
    root: str = "",
    resources: ExitStack | None = None,
    *,
    progress: bool,
) -> Dataset:
    """Load the images of a listing from the cache; or decode them into the cache, or when they are needed.

    Args:
        scan: scan of the listing in the cache; None where there is none.
        listing: the listing.
        signature: hash that changes with the data.
        kind: what is loaded, and how.
        root: folder of the images, as in `Dataset`.
        resources: what is held while the files are read; None: nothing.
        progress: whether to show progress on standard error.
    """
    sources = kind.sources(listing)
    preprocessing = _expected_preprocessing(scan, sources, kind.wanted)
    reader: ImageReader = CacheReader(sources, kind.name)
    decoded = None if scan is None or kind.options.stream else reader.open(scan, preprocessing)
    notes: Sequence[str] = ()
    if decoded is None:
        size = len(sources) * preprocessing.height * preprocessing.width * 3
        if kind.options.stream or not disk_cache.has_room(size):
            held = ExitStack() if resources is None else resources.pop_all()
            # The results for a file depend on the file alone, the index on how it is read, too.
            places = f"{kind.key}\0{listing.root}", f"{kind.cache_key}\0{signature}"
            reader = StreamReader(listing, sources, *places, kind.name, held)
            decoded = None if scan is None else reader.open(scan, preprocessing)
            notes = () if kind.options.stream else (_note_on_stream(size),)
    if scan is None or decoded is None:
        decoded, scan = _read_and_keep(listing, signature, kind, reader, preprocessing, progress=progress)
    return kind.dataset(decoded, scan, root, notes)


def _note_on_stream(size: int) -> str:
    """Return the note on images that are decoded when they are needed, without the user's option."""
    return (
        f"images are decoded when they are needed: decoded, they take {size / 1e6:,.1f} MB, and the cache has room for "
        f"{disk_cache.room() / 1e6:,.1f} MB (SACCADE_CACHE_LIMIT)"
    )


def load_unlabeled(
    path: Path, wanted: Preprocessing | PreprocessingOptions, *, stream: bool = False, progress: bool
) -> Dataset:
    """Load all images of a folder or an archive as one test split of the class `UNLABELED`, whatever the folders are.

    Raises:
        ArchiveError: the archive can't be unpacked safely.
        DataError: there is no image, or no image can be read.
    """
    options = ReadingOptions(stream=stream)
    if is_archive(path):
        return load_archive(path, wanted, options, UNLABELED, find=list_unlabeled, progress=progress)
    kind = _Kind(f"unlabeled:{path}", path.name, str(path), wanted, options, UNLABELED)
    return _load_listing(list_unlabeled(path), kind, progress=progress)


def load_archive(
    path: Path,
    wanted: Preprocessing | PreprocessingOptions,
    options: ReadingOptions,
    known: KnownClasses | None = None,
    *,
    find: Callable[..., Listing] = find_images,
    progress: bool,
) -> Dataset:
    """Load the images of an archive, as `load_folder` does; it is unpacked only if the images must be decoded.

    Args:
        path: path of the archive.
        wanted: preprocessing of the images, or its options.
        options: options for reading.
        known: classes of a classifier that is to be scored on the images; None for data to train on.
        find: function that lists the images of the unpacked folder, with the parameters of `find_images`.
        progress: whether to show progress on standard error.

    Raises:
        ArchiveError: the archive can't be unpacked safely.
        DataError: the archive holds no usable classes of images.
    """
    sha256 = cached_archive_hash(path, progress=progress)
    kind = _Kind(f"contents:{sha256}", archive_stem(path), str(path), wanted, options, known)
    scan = find_scan(kind.cache_key, sha256)
    if scan is not None and not options.stream:
        decoded = CacheReader((), kind.name).open(scan, _expected_preprocessing(scan, (), wanted))
        if decoded is not None:
            return kind.dataset(decoded, scan)
    with ExitStack() as held:
        folder = held.enter_context(unpacked(path, sha256, options.archive_encoding, progress=progress))
        batches = find_batch_files(folder) if find is find_images else None
        if batches is not None:
            return load_batches(batches, path, sha256, wanted, progress=progress)
        listing = find(folder, options, known, place=str(path))
        listing = replace(listing, notes=(*unpacking_notes(folder), *listing.notes))
        return _load_scanned(scan, listing, sha256, kind, resources=held, progress=progress)


def _expected_preprocessing(
    scan: Scan | None, sources: Sequence[bytes | str], wanted: Preprocessing | PreprocessingOptions
) -> Preprocessing:
    """Return the preprocessing of images by their scan; without a scan, the preprocessing for a sample of them."""
    if scan is not None:
        return preprocessing_for(wanted, np.array([scan.default_size], np.int32), scan.used_bits)
    return wanted if isinstance(wanted, Preprocessing) else _estimate_preprocessing(sources, wanted)


def _read_and_keep(
    listing: Listing,
    signature: str,
    kind: _Kind,
    reader: ImageReader,
    preprocessing: Preprocessing,
    *,
    progress: bool,
) -> tuple[DecodedData, Scan]:
    """Read all images of a listing, and keep their index and their scan in the cache."""
    decoded, hashes, used_bits = _read(listing, kind, reader, preprocessing, progress=progress)
    default = default_preprocessing(np.array(decoded.index.sizes, np.int32))
    size = (default.height, default.width)
    scan = Scan(decoded.index.fingerprint, size, used_bits, listing.notes, listing.strays, listing.layout)
    # A file that exists but could not be read may be readable later without a change.
    if all(content or not found.size for found, content in zip(listing.images, hashes, strict=True)):
        keep_scan(kind.cache_key, signature, scan, file_metadata(listing, hashes), kind.name)
    return decoded, scan


def _read(
    listing: Listing, kind: _Kind, reader: ImageReader, chosen: Preprocessing, *, progress: bool
) -> tuple[DecodedData, Sequence[str], int]:
    """Read all files with a preprocessing; read them again if all files together give another one.

    Returns:
        The decoded data, the content hashes of all files, and the number of bits that their 16-bit gray samples use.
    """
    with disk_cache.building() as built:
        reading = reader.read(built, chosen, progress=progress)
        index = _index(listing, reading, kind)
        final = preprocessing_for(kind.wanted, np.array(index.sizes, np.int32), reading.used_bits)
        if final == chosen:
            index = replace(index, notes=[*index.notes, *_notes_on_samples(reading, final)])
            decoded = reader.keep(built, index, chosen, progress=progress)
            return decoded, reading.hashes, reading.used_bits
    return _read(listing, kind, reader, final, progress=progress)


def _estimate_preprocessing(sources: Sequence[bytes | str], options: PreprocessingOptions) -> Preprocessing:
    if options.size is not None:
        return options.resolve(np.array([options.size], np.int32))
    headers = read_headers(sources[:: max(1, -(-len(sources) // _SAMPLED_HEADERS))])
    sizes = [(header.height, header.width) for header in headers]
    return options.resolve(np.array(sizes or [(0, 0)], np.int32))


def _notes_on_samples(reading: Reading, preprocessing: Preprocessing) -> list[str]:
    """Return the notes on 16-bit images that use few bits, and on color profiles that can't be used."""
    notes = []
    deep = [remark.used_bits for remark in reading.remarks if remark.used_bits]
    if deep and preprocessing.sample_bits < FULL_BITS:
        notes.append(f"16-bit gray images use their low {preprocessing.sample_bits} bits, by scale=auto")
    elif deep and max(deep) <= _FEW_BITS:
        number = counted(len(deep), "16-bit image")
        dark = f"only the low {max(deep)} bits of {number} are used, so that the images are dark"
        notes.append(f"{dark}; to use the whole range: --set scale=auto")
    unusable = sum(remark.has_unusable_profile for remark in reading.remarks)
    if unusable:
        notes.append(f"the color profiles of {counted(unusable, 'image')} can't be read and are ignored")
    return notes


def _index(listing: Listing, reading: Reading, kind: _Kind) -> Index:
    readable = [row for row, reason in enumerate(reading.reasons) if reason is None]
    with_images = {listing.images[row].label for row in readable if listing.images[row].split == "train"}
    drops = kind.options.drop_empty_classes and kind.known is None
    labels = [label for label in range(len(listing.class_names)) if label in with_images or not drops]
    if kind.known is None:
        _check_classes(listing, reading, labels, with_images)
    _check_splits(listing, reading)
    new_label = {label: number for number, label in enumerate(labels)}
    class_names = [listing.class_names[label] for label in labels]
    dropped = [name for name in listing.class_names if name not in class_names]
    rows = [row for row in readable if listing.images[row].label in new_label]
    found = [listing.images[row] for row in rows]
    headers = [reading.headers[row] for row in rows]
    contents = list(zip(listing.images, reading.hashes, strict=True))
    if dropped:  # to replace a label takes longer than all else here
        contents = [
            (image._replace(label=new_label[image.label]), content)
            for image, content in contents
            if image.label in new_label
        ]
    return Index(
        class_names=class_names,
        fingerprint=fingerprint_of_files(class_names, contents),
        groups=_group_numbers([image.group for image in found]),
        rows=rows,
        splits=[image.split for image in found],
        labels=[new_label[image.label] for image in found],
        names=[printable(image.path) for image in found],
        hashes=[reading.hashes[row] for row in rows],
        sizes=[(header.height, header.width) for header in headers],
        modes=[header.mode for header in headers],
        formats=[header.format for header in headers],
        unreadable=_unreadable(listing, reading),
        notes=[f"left out: classes without a readable training image: {', '.join(dropped)}"] if dropped else [],
    )


def _group_numbers(groups: Sequence[str]) -> list[int]:
    """Return the number of the group of each image, -1 for an image without a group; empty if there are no groups."""
    if not any(groups):
        return []
    number = {group: position for position, group in enumerate(sorted(set(groups) - {""}))}
    return [number.get(group, -1) for group in groups]


def _unreadable(listing: Listing, reading: Reading) -> list[UnreadableImage]:
    """Return the unreadable images, each with the split of a readable image of its hash, for the counts of a report."""
    has_test_split = any(found.split == "test" for found in listing.images)
    unreadable = []
    for found, content, reason in zip(listing.images, reading.hashes, reading.reasons, strict=True):
        if reason is not None:
            by_hash = not has_test_split and found.split == "train" and is_test_by_hash(content)
            unreadable.append(UnreadableImage(printable(found.path), "test" if by_hash else found.split, reason))
    return unreadable


def _check_classes(listing: Listing, reading: Reading, labels: Sequence[int], with_images: AbstractSet[int]) -> None:
    """Require two classes, and a readable training image of every class, in `with_images`."""
    if len(labels) >= _MIN_CLASSES and with_images >= set(labels):
        return
    images = list(zip(listing.images, reading.reasons, strict=True))
    for label in labels:
        if label not in with_images:
            raise DataError(
                f"no training image of the class {listing.class_names[label]!r} can be read",
                expected="at least one readable training image of each class",
                found=_first_reason(image for image in images if image[0].label == label),
                remedy="repair or replace its files, or leave out classes without images: --drop-empty-classes",
                code="class-unreadable",
            )
    if len(labels) < _MIN_CLASSES:
        raise DataError(
            f"there are fewer than two classes with readable images in {listing.root}",
            expected="at least two classes to tell apart",
            found=_first_reason(images),
            code="one-class",
        )


def _check_splits(listing: Listing, reading: Reading) -> None:
    """Require a readable image in every split."""
    readable = {image.split for image, reason in zip(listing.images, reading.reasons, strict=True) if reason is None}
    for split in sorted({image.split for image in listing.images} - readable):
        images = zip(listing.images, reading.reasons, strict=True)
        found = _first_reason(image for image in images if image[0].split == split)
        raise DataError(f"no image of the {split} split can be read", found=found, code="split-unreadable")


def _first_reason(images: Iterable[tuple[FoundImage, str | None]]) -> str | None:
    """Return the path of the first unreadable image with the reason; None if there is none."""
    return next((f"{printable(image.path)}: {reason}" for image, reason in images if reason is not None), None)
