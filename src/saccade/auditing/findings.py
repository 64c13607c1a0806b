"""Audit and Finding: what is wrong with data, and how each thing is mended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from saccade.data.dataset import SplitName
from saccade.sanitize import counted, shortened

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

_MOST_SHOWN = 200  # characters of a sentence


@dataclass(frozen=True)
class FindingImage:
    """An image that a finding speaks of.

    Attributes:
        path: its name in the dataset: relative to the data's root, or the data's own numbering.
        split: where it stands.
        class_name: the class it is labeled with.
        position: its place among all images of the data, split after split; -1 for one that can't be read.
        score: what the finding measured of it, if anything; the finding says in which unit.
        proposed: the class that it more probably shows, where the finding knows one.
        suggestion: what the audit would do with it: "keep", "relabel" or "drop"; empty where it has no opinion.
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
    """One thing that is wrong, or worth knowing.

    Attributes:
        kind: what it is, such as "near-leak"; docs/audit.md explains each.
        severity: "error": training is impossible, or what it measures is false; "warning": it probably costs accuracy;
            "note": worth a look.
        summary: what was found, in plain words.
        fix: what to do: an action or a command.
        groups: the images concerned; those that belong together, such as duplicates of one image, in one group.
    """

    kind: str
    severity: Severity
    summary: str
    fix: str
    groups: Sequence[Sequence[FindingImage]] = ()

    def __repr__(self) -> str:
        return f"<Finding {self.kind}, {self.severity}: {shortened(self.summary, _MOST_SHOWN)}>"

    @property
    def images(self) -> list[FindingImage]:
        """All images concerned, group by group."""
        return [image for group in self.groups for image in group]


@dataclass(frozen=True)
class Audit:
    """What `audit` found.

    Attributes:
        name: of the data.
        source: what finds the data again.
        fingerprint: of the data's contents; empty where it can't be loaded.
        class_names: in the order of their labels.
        num_images: how many there are in each split.
        findings: the gravest first.
        notes: what the user must be told about the data, and about the audit itself.
        folds: trainings that label errors and outliers were found with; 0: neither was looked for.
        files: what was written.
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
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def to_dict(self) -> dict[str, Any]:
        """All of it as what JSON knows."""
        return {**asdict(self), "files": [str(path) for path in self.files]}


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The gravest first; equally grave ones as they came."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
