"""`saccade similar`."""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cli.embed import chosen_network
from saccade.cli.output import print_json, print_line, print_notes
from saccade.cli.reading_options import with_reading_options
from saccade.data.reading_options import ReadingOptions


@click.command("similar")
@click.argument("query")
@click.argument("data")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Number of images to print.")
@click.option("--run", metavar="RUN", help="Run whose network gives the features.")
@click.option(
    "--from", "source", metavar="NETWORK",
    help="Pretrained network that gives the features. Default: EfficientNetLite0, which is part of this package.",
)  # fmt: skip
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="HTML page to write, with the images.")
@with_reading_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    query: str,
    data: str,
    top: int,
    run: str | None,
    source: str | None,
    out: Path | None,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    """Find the images of DATA that are most similar to QUERY.

    QUERY is an image, a folder of images, a glob pattern, or a class of DATA. The similarity is the cosine of the
    features of a network, -1 to 1. Images that are identical to an image of QUERY are left out.
    """
    network = chosen_network(run, source)
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
