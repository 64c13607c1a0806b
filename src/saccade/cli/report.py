"""`saccade report`."""

from __future__ import annotations

import click

from saccade.cli.output import print_json, print_line


@click.command("report")
@click.argument("run", type=click.Path())
@click.option(
    "--data", metavar="DATA", help="Present location of the data of RUN. Default: its location at the training."
)
@click.option("--json", "as_json", is_flag=True, help="Print the paths of the written files as JSON.")
def command(run: str, data: str | None, as_json: bool) -> None:
    """Write an HTML report (report.html) and a model card (README.md) of RUN.

    The report is a single file that needs no network connection. Its metrics are those of `saccade evaluate`. If RUN
    has no evaluation, the command evaluates it first.
    """
    from saccade.runs.run import Run

    opened = Run.open(run)

    from saccade.evaluation.report.report_page import report

    written = report(opened, data=data, progress=True)
    if as_json:
        print_json({"page": str(written.page), "card": str(written.card) if written.card else None})
        return
    print_line(f"written: {written.page}")
    if written.card:
        print_line(f"written: {written.card}")
    else:
        print_line(f"not overwritten, because Saccade did not write it: {opened.path / 'README.md'}")
