"""Results of a labeling: label file, class folders of links, and a report in words."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from saccade.errors import DataError
from saccade.labeling.embedded_data import EmbeddedData
from saccade.labeling.labels_file import LabeledImage, write_label_file
from saccade.labeling.new_file import atomic_result, new_file
from saccade.labeling.session import Session
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
        """Return the files; folders and report may not exist, and `require_own` checks the label file.

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
        return cls(new_file(labels, (".csv",), may_exist=True), folder, text)

    def names(self) -> list[str]:
        """Return the names of the files, the label file first, which is written before the others."""
        return [str(path) for path in (self.labels, self.report, self.folders) if path is not None]

    def require_own(self, state: Path) -> None:
        """Require that the label file is missing, or is as the labeling of a state wrote it.

        Raises:
            DataError: the label file is another one.
        """
        if not self.labels.exists():
            return
        if state.is_file():
            with Session(state) as session:
                if self._is_own(session):
                    return
        new_file(self.labels, (".csv",))

    def _is_own(self, session: Session) -> bool:
        return hashlib.sha256(self.labels.read_bytes()).hexdigest() in session.setting("written", [])

    def write_labels(self, steps: LabelingSteps, session: Session, found: EmbeddedData) -> None:
        """Write the label file of a labeling that is done, also in place of one that this labeling wrote.

        Raises:
            DataError: the file can't be written, or another program made it.
        """
        if self.labels.exists() and not self._is_own(session):
            raise DataError(f"'{self.labels}' was made by another program; nothing is overwritten")
        write_label_file(steps.labels(), self.labels, found.dataset.root)
        digest = hashlib.sha256(self.labels.read_bytes()).hexdigest()
        session.keep_setting("written", [*session.setting("written", []), digest])

    def write_others(self, steps: LabelingSteps, found: EmbeddedData) -> None:
        """Write report and folders of a labeling that is done.

        Raises:
            DataError: a file can't be written, or the images are in an archive, to which there are no links.
        """
        labels = steps.labels()
        if self.report is not None:
            with atomic_result(self.report) as partial:
                partial.write_text(_report(steps, labels, found), encoding="utf-8")
        if self.folders is not None:
            _link(labels, self.folders, found.dataset.root)


def _link(labels: Sequence[LabeledImage], folder: Path, root: str) -> None:
    """Make a folder for each class, with a link to each of its images."""
    if not root:
        raise DataError("class folders of links need images in a folder", found="images in an archive")
    names = {label.label: _folder_name(label.label) for label in labels}
    if len(set(names.values())) < len(names):
        raise DataError(
            "two classes would have the same folder",
            found=", ".join(printable(name) for name in sorted(names) if list(names.values()).count(names[name]) > 1),
            remedy="rename one of the classes, or leave out --export-folders",
        )
    temporary = folder.with_name(f".tmp-{folder.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        for label in labels:
            link = temporary / names[label.label] / label.file_name.replace("/", "--")
            link.parent.mkdir(parents=True, exist_ok=True)
            target = Path(root) / label.file_name
            link.symlink_to(os.path.relpath(target, folder / names[label.label]))
        temporary.rename(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise DataError(f"the class folders can't be made at '{folder}'", found=error.strerror) from None


def _folder_name(name: str) -> str:
    """Return the name of a folder: that of the class, or with percent signs where a folder can't have this name."""
    if name in (".", "..") or {"/", "\\", "\0"} & set(name):
        return quote(name, safe=" ").replace(".", "%2E")
    return name


def _report(steps: LabelingSteps, labels: Sequence[LabeledImage], found: EmbeddedData) -> str:
    labeling = steps.labeling()
    counts = Counter(label.label for label in labels)
    by_person = Counter(label.label for label in labels if label.who == "person")
    lines = [
        f"# Labels of {printable(found.dataset.name)}",
        "",
        labeling.summary,
        "",
        _ABOUT,
        "",
        f"{counted(labeling.num_images, 'image')}; without a label: {labeling.num_without_label:,}.",
        *(f"{note[0].upper()}{note[1:]}." for note in found.notes_on_unreadable()),
        "",
        "| class | images | labeled by a person |",
        "|---|---|---|",
        *(f"| {printable(each)} | {counts[each]:,} | {by_person[each]:,} |" for each in sorted(counts)),
        "",
        _METHOD,
    ]
    return "\n".join(lines) + "\n"
