"""Results of a labeling: label file, class folders of links, and a report in words."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from saccade.errors import DataError
from saccade.labeling.embedded_data import EmbeddedData
from saccade.labeling.labels_file import LabeledImage, write_label_file
from saccade.labeling.new_file import atomic_result, new_file
from saccade.labeling.steps import LabelingSteps
from saccade.named_paths import named_path
from saccade.sanitize import counted, printable

_ABOUT = (
    "The promise is about the answers that this person would give for exactly these images. It is not about other "
    "images, and not about mistakes of the person."
)
_METHOD = (
    "Method: docs/labeling.md of Saccade, with its proof. The idea of such labels: E. Candès, A. Ilyas, T. Zrnic, "
    '"Probably approximately correct labels", arXiv 2506.10908 (2025).'
)


@dataclass(frozen=True)
class ResultFiles:
    """Files to write at the end of a labeling.

    Attributes:
        labels: label file.
        folders: folder to make, with a folder of links for each class; None: no folders.
        report: Markdown file with method and promise; None: no report.
    """

    labels: Path
    folders: Path | None = None
    report: Path | None = None

    @classmethod
    def new(cls, labels: str | Path, folders: str | Path | None, report: str | Path | None) -> ResultFiles:
        """Return the files, none of which may exist.

        Raises:
            DataError: a file exists, its folder is missing, or its name has another suffix.
        """
        folder = None
        if folders is not None:
            folder = named_path(folders, DataError, what="class folders", expected="the path of a folder to make")
            if folder.exists():
                remedy = "name another folder with --export-folders"
                raise DataError(f"'{folder}' exists already; nothing is overwritten", remedy=remedy)
        text = None if report is None else new_file(report, (".md",), option="--report")
        return cls(new_file(labels, (".csv",)), folder, text)

    def write(self, steps: LabelingSteps, found: EmbeddedData) -> None:
        """Write the results of a labeling that is done, apart from files that exist.

        Raises:
            DataError: a file can't be written, or the images are in an archive, to which there are no links.
        """
        labels = steps.labels()
        if not self.labels.exists():
            write_label_file(labels, self.labels, found.dataset.root)
        if self.folders is not None:
            _link(labels, self.folders, found.dataset.root)
        if self.report is not None:
            with atomic_result(self.report) as partial:
                partial.write_text(_report(steps, labels, found.dataset.name), encoding="utf-8")


def _link(labels: Sequence[LabeledImage], folder: Path, root: str) -> None:
    """Make a folder for each class, with a link to each of its images."""
    if not root:
        raise DataError("class folders of links need images in a folder", found="images in an archive")
    unusable = sorted({label.label for label in labels if not _is_folder_name(label.label)})
    if unusable:
        raise DataError(f"the class {printable(unusable[0])!r} can't be the name of a folder")
    temporary = folder.with_name(f".tmp-{folder.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        for label in labels:
            link = temporary / label.label / label.file_name.replace("/", "--")
            link.parent.mkdir(parents=True, exist_ok=True)
            target = Path(root) / label.file_name
            link.symlink_to(os.path.relpath(target, folder / label.label))
        temporary.rename(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise DataError(f"the class folders can't be made at '{folder}'", found=error.strerror) from None


def _is_folder_name(name: str) -> bool:
    return name not in ("", ".", "..") and not {"/", "\\", "\0"} & set(name)


def _report(steps: LabelingSteps, labels: Sequence[LabeledImage], name: str) -> str:
    labeling = steps.labeling()
    counts = Counter(label.label for label in labels)
    by_person = Counter(label.label for label in labels if label.who == "person")
    lines = [
        f"# Labels of {printable(name)}",
        "",
        labeling.summary,
        "",
        _ABOUT,
        "",
        f"{counted(labeling.num_images, 'image')}, of which {labeling.num_without_label:,} have no label.",
        "",
        "| class | images | labeled by a person |",
        "|---|---|---|",
        *(f"| {printable(each)} | {counts[each]:,} | {by_person[each]:,} |" for each in sorted(counts)),
        "",
        _METHOD,
    ]
    return "\n".join(lines) + "\n"
