"""`saccade report`."""

from __future__ import annotations

import click

from saccade.cli.output import print_json, print_line


@click.command("report")
@click.argument("run", type=click.Path())
@click.option("--data", metavar="DATA", help="Where the data of RUN lies now. Default: where it was at the training.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(run: str, data: str | None, as_json: bool) -> None:
    """Make a page to read of RUN, report.html, and a model card, README.md.

    The page is one file and needs no network. Its numbers are those of `saccade evaluate`, which is done first where it
    has not been.
    """
    from saccade.runs.run import Run

    opened = Run.open(run)

    from saccade.evaluation.report.report_page import report

    made = report(opened, data=data, progress=True)
    if as_json:
        print_json({"page": str(made.page), "card": str(made.card) if made.card else None})
        return
    print_line(f"written: {made.page}")
    if made.card:
        print_line(f"written: {made.card}")
    else:
        print_line(f"left alone, because somebody else wrote it: {opened.path / 'README.md'}")
