"""`saccade audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from saccade.cli.output import print_json, print_line, print_notes

if TYPE_CHECKING:
    from saccade.auditing.findings import Audit, Finding

_MOST_IMAGES = 3


@click.command("audit")
@click.argument("data")
@click.option("--recipe", metavar="NAME", help="Of the trainings. Default: fast with 4 epochs; folder above 64x64.")
@click.option(
    "--folds", type=click.IntRange(0, 20), default=5, show_default=True,
    help="Trainings behind label errors and outliers; 0: none, and neither is looked for.",
)  # fmt: skip
@click.option("--out", metavar="DIR", help="The directory to make. Default: audits/<data>-<n>.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(data: str, recipe: str | None, folds: int, out: str | None, as_json: bool) -> None:
    """Find what is wrong with DATA before it costs accuracy; change nothing.

    Writes audit.json and audit.html. On the page you keep, relabel or drop images and save fixes.csv, which
    `saccade train` and `saccade evaluate` apply with --fixes.
    """
    from saccade.auditing.audit import audit

    found = audit(data, recipe=recipe, folds=folds, out=out, progress=True)
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
        print_line("nothing wrong was found")
    for finding in found.findings:
        _print_finding(finding)


def _print_finding(finding: Finding) -> None:
    print_line(f"\n{finding.severity}: {finding.kind}: {finding.summary}")
    for group in finding.groups[:_MOST_IMAGES]:
        print_line(
            "  " + " = ".join(f"{one.path} ({_details(one.class_name, one.proposed)})" for one in group[:_MOST_IMAGES])
        )
    if len(finding.groups) > _MOST_IMAGES:
        print_line(f"  and {len(finding.groups) - _MOST_IMAGES:,} more in audit.json")
    print_line(f"  fix: {finding.fix}")


def _details(class_name: str, proposed: str) -> str:
    return f"{class_name}, rather {proposed}" if proposed else class_name or "unreadable"
