"""`saccade audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_line, print_notes
from saccade.cli.reading_options import with_reading_options
from saccade.data.reading_options import ReadingOptions

if TYPE_CHECKING:
    from saccade.auditing.findings import Audit, Finding

_MAX_PRINTED = 3  # groups of a finding, and images of a group


@click.command("audit")
@click.argument("data")
@click.option(
    "--recipe",
    metavar="NAME",
    help="Recipe of the fold trainings. Default: fast with 4 epochs; above 64 pixels linear heads on features.",
)
@click.option(
    "--folds", type=click.IntRange(0, 20), default=5, show_default=True,
    help="Number of cross-validation folds that find label errors. 0: no training and no features: no outliers either.",
)  # fmt: skip
@with_reading_options
@click.option("--out", metavar="DIR", help="Output directory. Default: audits/<data>-<n>.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(data: str, recipe: str | None, folds: int, out: str | None, reading: ReadingOptions, as_json: bool) -> None:
    """Find label errors, duplicates, leaks, outliers and other problems in DATA.

    DATA is not changed. The command writes audit.json and audit.html. On the page you keep, relabel or drop images
    and save fixes.csv. `saccade train` and `saccade evaluate` apply this file with --fixes.
    """
    from saccade.auditing.audit import audit

    found = audit(data, recipe=recipe, folds=folds, out=out, reading=reading, progress=True)
    if as_json:
        print_json(found.to_dict())
        return
    print_notes(found.notes)
    _print(found)
    print_line("\nwritten: " + ", ".join(map(str, found.files)))


def _print(found: Audit) -> None:
    counts = ", ".join(f"{number:,} {split}" for split, number in found.num_images.items())
    print_line(f"{found.name} ({found.source})" + (f": {counts}" if counts else ""))
    if not found.findings:
        print_line("no problems found")
    for finding in found.findings:
        _print_finding(finding)


def _print_finding(finding: Finding) -> None:
    print_line(f"\n{finding.severity}: {finding.kind}: {finding.summary}")
    for group in finding.groups[:_MAX_PRINTED]:
        print_line(
            "  " + " = ".join(f"{one.path} ({_details(one.class_name, one.proposed)})" for one in group[:_MAX_PRINTED])
        )
    if len(finding.groups) > _MAX_PRINTED:
        print_line(f"  and {len(finding.groups) - _MAX_PRINTED:,} more in audit.json")
    print_line(f"  fix: {finding.fix}")


def _details(class_name: str, proposed: str) -> str:
    return f"{class_name}, proposed: {proposed}" if proposed else class_name or "unreadable"
