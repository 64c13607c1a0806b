"""Audit and Finding: the result of an audit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from saccade.data.dataset import SplitName
from saccade.sanitize import counted, shortened

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

_MAX_REPR_LENGTH = 200  # characters of a summary


@dataclass(frozen=True)
class FindingImage:
    """An image of a finding.

    Attributes:
        path: name of the image in the dataset: path relative to the data's root, or the data's own number.
        split: name of the image's split.
        class_name: name of the labeled class.
        position: position among the images of all splits; -1 for an unreadable image.
        score: score of the image, in the unit of the finding; None without a score.
        proposed: more probable class, or "".
        suggestion: suggested action: "keep", "relabel" or "drop", or "" without a suggestion.
    """

    path: str
    split: SplitName
    class_name: str
    position: int = -1
    score: float | None = None
    proposed: str = ""
    suggestion: Literal["", "keep", "relabel", "drop"] = ""


@dataclass(frozen=True)
class Finding:
    """A problem of the data.

    Attributes:
        kind: kind of the problem, such as "near-leak"; docs/audit.md explains each kind.
        severity: "error": training is impossible, or its metrics are invalid; "warning": the problem probably lowers
            the accuracy; "note": a possible problem.
        summary: description of the problem.
        fix: action or command that fixes the problem.
        groups: images of the problem; related images, such as the duplicates of one image, form one group.
    """

    kind: str
    severity: Severity
    summary: str
    fix: str
    groups: Sequence[Sequence[FindingImage]] = ()

    def __repr__(self) -> str:
        return f"<Finding {self.kind}, {self.severity}: {shortened(self.summary, _MAX_REPR_LENGTH)}>"

    @property
    def images(self) -> list[FindingImage]:
        """Images of all groups."""
        return [image for group in self.groups for image in group]


@dataclass(frozen=True)
class Audit:
    """Result of an audit.

    Attributes:
        name: short name of the data.
        source: name or absolute path of the data.
        fingerprint: hash of the data's contents, hexadecimal; "" if the data can't be loaded.
        class_names: names of the classes, in the order of the labels.
        num_images: number of images of each split.
        findings: findings, in descending severity.
        notes: notes on the data and on the audit.
        folds: number of trainings or heads for label errors; 0: no search for label errors, for outliers, and for
            near-duplicates by features.
        files: paths of the written files.
    """

    name: str
    source: str
    fingerprint: str
    class_names: tuple[str, ...]
    num_images: dict[SplitName, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    folds: int
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        kinds = ", ".join(dict.fromkeys(finding.kind for finding in self.findings))
        return f"<Audit of {self.name}: {counted(len(self.findings), 'finding')}{kinds and ': '}{kinds}>"

    def of_kind(self, kind: str) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as values that JSON can represent."""
        return {**asdict(self), "files": [str(path) for path in self.files]}


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings by descending severity; the order of equal severities is kept."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
