"""`saccade similar`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from saccade.cli.network_options import with_network_options
from saccade.cli.output import print_json, print_line, print_notes
from saccade.cli.reading_options import with_reading_options
from saccade.data.reading_options import ReadingOptions

if TYPE_CHECKING:
    from saccade.runs.run import Run


@click.command("similar")
@click.argument("query")
@click.argument("data")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Number of images to print.")
@with_network_options
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="HTML page to write, with the images.")
@with_reading_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    query: str,
    data: str,
    top: int,
    network: str | Run | None,
    out: Path | None,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    """Find the images of DATA that are most similar to QUERY.

    QUERY is an image, a folder of images, a glob pattern, or a class of DATA. The similarity is the cosine of the
    features of a network, -1 to 1. Images that are identical to an image of QUERY are left out.
    """
    from saccade.labeling.similar import find_similar, to_lines

    found = find_similar(query, data, top=top, network=network, out=out, reading=reading, progress=True)
    print_notes(found.notes)
    if as_json:
        print_json(found.to_dict())
        return
    for line in to_lines(found.images):
        print_line(line)
    if out is not None:
        print_line(f"written: {out}", err=True)
