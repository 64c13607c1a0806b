"""Images of a run's splits, with the run's fixes. Every command loads them here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import SPLIT_NAMES, Dataset, Fix, Split, SplitName, UnreadableImage
from saccade.data.fixes import apply_fixes, fixed_fingerprint
from saccade.data.load import Data, is_path, load_for_scoring, load_with_preprocessing, require_name
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.known_classes import KnownClasses
from saccade.data.sources.memory.labeled_images import IN_MEMORY
from saccade.data.splits import splits_of
from saccade.errors import DataNotFoundError, EvaluationError
from saccade.runs.results import HASH_DIGITS
from saccade.runs.run import Run
from saccade.sanitize import counted, printable

# Characters of the data's name in a file name: at most 160 of the 255 bytes that a file name may have.
_LONGEST_NAME = 40


@dataclass(frozen=True)
class RunSplit:
    """Images of one split of a run.

    Attributes:
        dataset: data with the fixes applied.
        name: name of the split.
        splits: all splits of the run on this data; "validation" may be empty.
        is_own: whether data and fixes are those of the run's training.
        trained_on: bool [n], True for images that are identical to training images of the run; all False for the split
            "train".
        validated_on: bool [n], True for images that are identical to validation images of the run; all False for the
            splits "train" and "validation".
        left_out: number of images of other data that are left out, by the split "train" or "validation" of the run that
            holds identical images; empty for the run's own data.
        notes: sentences on limits of numbers that are measured on these images.
    """

    dataset: Dataset
    name: SplitName
    splits: Mapping[SplitName, Split]
    is_own: bool
    trained_on: NDArray[np.bool_]
    validated_on: NDArray[np.bool_]
    notes: tuple[str, ...]
    left_out: Mapping[SplitName, int] = field(default_factory=dict)

    @property
    def images(self) -> Split:
        """Images of the split."""
        return self.splits[self.name]

    @property
    def unreadable(self) -> tuple[UnreadableImage, ...]:
        """Unreadable images of the split."""
        # A validation split that was held out consists of readable images.
        return tuple(image for image in self.dataset.unreadable if image.split == self.name)

    @property
    def file_suffix(self) -> str:
        """Suffix of the names of files with results on these images, such as "-test-photos-1a2b3c4d".

        The suffix is "" for the test split of the run's own data. For other data or other fixes the suffix holds a hash
        of the images, their classes and the fixes, so that results on different images have different names.
        """
        if not self.is_own:
            return f"-{self.name}-{self.dataset.name[:_LONGEST_NAME]}-{self.dataset.fingerprint[:HASH_DIGITS]}"
        return "" if self.name == "test" else f"-{self.name}"


def load_run_split(
    run: Run,
    split: SplitName = "test",
    *,
    data: Data | None = None,
    fixes: Sequence[Fix] | None = None,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> RunSplit:
    """Load the images of a split of a run, or of other data.

    Where Saccade and not the data defines the splits of the run's own data, every image keeps the split that the run's
    split.csv records. Other data without a test split is one test split as a whole. Images of other data that the run
    was trained or validated on, by content hash, are left out.

    Args:
        run: run.
        split: name of the split.
        data: data as for `load`, or a loaded dataset; None for the training data of the run.
        fixes: images to drop and to relabel. None: the run's own fixes for the training data of the run, under any name
            or path; no fixes for other data.
        reading: options for reading other data; None: the default options.
        progress: whether to display the progress of the loading on stderr.

    Raises:
        DataError: the data can't be used or no longer exists, or the fixes are for other data.
        RunError: the run's split.csv is missing or damaged.
        EvaluationError: the split has no images; or the run's data has changed, so that the split is unknown.
    """
    if data is not None and not (is_path(data) and _is_same_place(require_name(data), run.data_source)):
        other = _load_other(run, split, data, fixes, reading, progress)
        if other is not None:
            return other
    found = (
        _load_own(run, progress)
        if data is None
        else load_with_preprocessing(data, run.preprocessing, reading=run.data.reading, progress=progress)
    )
    own_fingerprint = fixed_fingerprint(found.fingerprint, run.fixes())
    unchanged = own_fingerprint == run.data_fingerprint
    if fixes is None:
        trained_with = data is None or unchanged or _is_same_place(found.source, run.data_source)
        fixes = run.fixes() if trained_with else ()
    dataset = apply_fixes(found, fixes) if fixes else found
    previous = run.split_of()
    splits = run_splits(run, dataset, previous)
    if not len(splits[split]):
        raise no_images(dataset, split)
    changed = data is None and not unchanged
    if changed and split != "test":
        raise _split_is_lost(run, split)
    known = [previous.get(content) for content in splits[split].hashes]
    trained_on = np.array([split != "train" and recorded == "train" for recorded in known], np.bool_)
    validated_on = np.array([split == "test" and recorded == "validation" for recorded in known], np.bool_)
    return RunSplit(
        dataset=dataset,
        name=split,
        splits=splits,
        is_own=(data is None or unchanged) and dataset.fingerprint == own_fingerprint,
        trained_on=trained_on,
        validated_on=validated_on,
        notes=(
            *dataset.notes,
            *_notes(run, dataset, split, changed, int(trained_on.sum()), int(validated_on.sum())),
            *_note_on_other_labels(run, dataset, splits[split] if not unchanged else None),
            *_note_on_optimism(run, split, known),
            *note_on_interruption(run),
        ),
    )


def _load_other(
    run: Run,
    split: SplitName,
    data: Data,
    fixes: Sequence[Fix] | None,
    reading: ReadingOptions | None,
    progress: bool,
) -> RunSplit | None:
    """Load a split of other data.

    Return None if the data has exactly the images of the run's own data, at another place, or has no such split: then
    the images that the run's split.csv records make the split.
    """
    known = KnownClasses.of(run.class_names, reading)
    dataset = load_for_scoring(data, run.preprocessing, known, reading=reading, progress=progress)
    previous = run.split_of()
    if {content for images in dataset.splits.values() for content in images.hashes} == previous.keys():
        return None
    dataset = apply_fixes(dataset, fixes) if fixes else dataset
    images = dataset.splits.get(split)
    if images is None or not len(images):
        return None
    seen = [previous.get(content) for content in images.hashes]
    new = np.array([recorded not in ("train", "validation") for recorded in seen], np.bool_)
    left_out: dict[SplitName, int] = {name: seen.count(name) for name in ("train", "validation") if name in seen}
    if not new.any():
        raise EvaluationError(
            f"'{dataset.name}' has no {split} images that are new to the run '{run.name}'",
            found="; ".join(
                [
                    f"{len(images):,} images, all identical to images of the training",
                    *_note_on_other_labels(run, dataset, images),
                ]
            ),
            remedy="name data with other images",
        )
    chosen = images.subset(np.flatnonzero(new))
    none = np.zeros(len(chosen), np.bool_)
    return RunSplit(
        dataset=dataset,
        name=split,
        splits={**dataset.splits, split: chosen},
        is_own=False,
        trained_on=none,
        validated_on=none,
        notes=(
            *dataset.notes,
            *_notes_on_left_out(left_out),
            *_note_on_other_labels(run, dataset, images),
            *_note_on_unlike_sources(run, dataset),
            *note_on_interruption(run),
        ),
        left_out=left_out,
    )


def _note_on_unlike_sources(run: Run, dataset: Dataset) -> Iterator[str]:
    """Yield a note where images of the run's training can't be recognized: pixels in memory have no file's contents."""
    if (run.data_source == IN_MEMORY) != (dataset.source == IN_MEMORY):
        yield (
            "images of the run's training are not recognized among these, since one are files and the others are in "
            "memory: score no image that the run was trained on"
        )


def _notes_on_left_out(left_out: Mapping[SplitName, int]) -> Iterator[str]:
    if left_out:
        counts = " and ".join(f"{number:,} of its {split} split" for split, number in left_out.items())
        yield f"not scored, because the run knows identical images: {counts}"


def _note_on_other_labels(run: Run, dataset: Dataset, images: Split | None) -> Iterator[str]:
    """Yield a note where images have another label than in the training of the run; nothing without images."""
    if images is None:
        return
    recorded = run.classes_of()
    other = [
        f"{name} ({found} here, {' and '.join(sorted(known))} in the training)"
        for name, label, content in zip(images.names, images.labels, images.hashes, strict=True)
        if (known := recorded.get(content)) and (found := dataset.class_names[label]) not in known
    ]
    if other:
        yield f"{counted(len(other), 'image')} with another label than in the training, such as {printable(other[0])}"


def run_splits(run: Run, dataset: Dataset, previous_split: Mapping[str, SplitName]) -> dict[SplitName, Split]:
    """Return all splits of a run on a dataset; images keep the split that `run.split_of()` records."""
    return splits_of(
        dataset, validation_split=run.recipe.validation_split, seed=run.recipe.seed, previous_split=previous_split
    )


def load_run_data(run: Run, data: Data | None = None) -> Dataset:
    """Load the data of a run, with the run's preprocessing and fixes.

    Args:
        run: the run.
        data: data as for `load`, if the data has moved or was in memory. None: the source that the run records.

    Raises:
        DataError: the data can't be used.
    """
    source = _recorded_source(run) if data is None else data
    return load_with_preprocessing(source, run.preprocessing, fixes=run.fixes(), reading=run.data.reading)


def _load_own(run: Run, progress: bool) -> Dataset:
    """Load the training data of a run from the source of the training."""
    source = _recorded_source(run)
    try:
        return load_with_preprocessing(source, run.preprocessing, reading=run.data.reading, progress=progress)
    except DataNotFoundError as error:
        instead = f"if the data of the run '{run.name}' lies elsewhere now, name its place with --data"
        raise DataNotFoundError(
            error.problem,
            expected=error.expected,
            found=error.found,
            remedy=f"{error.remedy}; {instead}" if error.remedy else instead,
            code=error.code,
        ) from None


def _recorded_source(run: Run) -> str:
    """Return the name or path of the training data of a run.

    Raises:
        DataNotFoundError: the data were images in memory.
    """
    if run.data_source == IN_MEMORY:
        raise DataNotFoundError(
            f"the run '{run.name}' was trained on images in memory, which it does not keep",
            remedy="in Python, give the same images once more: data=(images, labels), or as they were given to train",
        )
    return run.data_source


def require_split_name(split: str) -> None:
    """Check the name of a split.

    Raises:
        EvaluationError: there is no split of that name.
    """
    if split not in SPLIT_NAMES:
        raise EvaluationError(f"there is no split '{split}'", expected=f"one of {', '.join(SPLIT_NAMES)}")


def no_images(dataset: Dataset, split: SplitName) -> EvaluationError:
    """Return the error for a split without images."""
    if split == "validation":
        return EvaluationError(
            f"'{dataset.name}' has no validation images for this run",
            found="a training that held none out (validation_split = 0)",
            remedy="evaluate on the test split: --split test",
        )
    return EvaluationError(f"'{dataset.name}' has no {split} images that can be read")


def _notes(
    run: Run, dataset: Dataset, split: SplitName, changed: bool, trained_on: int, validated_on: int
) -> Iterator[str]:
    if changed:
        yield f"'{run.data_source}' has changed since the training"
    if trained_on:
        yield f"{split} images that were trained on as well, as identical files: {trained_on:,}"
    if validated_on:
        yield f"{split} images that are validation images as well, as identical files: {validated_on:,}"
    unreadable = sum(image.split != split for image in dataset.unreadable)
    if unreadable:
        yield f"images of the data that can't be read, outside this split: {unreadable:,}"


def _note_on_optimism(run: Run, split: SplitName, known: Sequence[SplitName | None]) -> Iterator[str]:
    if split == "validation" and "validation" in known and run.recipe.weights_chosen_by_validation:
        yield "accuracy and interval are optimistic: these images, or half of them, chose the weights"


def note_on_interruption(run: Run) -> Iterator[str]:
    """Yield a sentence on the weights of a run whose training is not at its end; nothing for any other run."""
    status = run.status()
    if status.state == "interrupted":
        of = "" if run.plan() else f" of {run.recipe.epochs}"
        yield f"the training was interrupted in epoch {status.epochs}{of}: the numbers are of the weights up to there"
    elif status.state == "running":
        yield "the training is not at its end: the numbers are of weights that it will replace"


def _is_same_place(data: str, source: str) -> bool:
    """Return whether data is the source of a run: the same name, or a path of the same folder or file."""
    path = Path(source)
    return data == source or (path.is_absolute() and Path(data).expanduser().resolve() == path.resolve())


def _split_is_lost(run: Run, split: SplitName) -> EvaluationError:
    return EvaluationError(
        f"the {split} split of the run is unknown, because its data has changed",
        expected=f"'{run.data_source}' as it was at the training",
        found="other contents",
        remedy="restore the old contents, evaluate on the test split, or name the data with --data",
    )
