"""`saccade embed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from saccade.cli.network_options import with_network_options
from saccade.cli.output import print_json, print_line, print_notes, print_unreadable
from saccade.cli.reading_options import with_reading_options
from saccade.data.reading_options import ReadingOptions
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.runs.run import Run


@click.command("embed")
@click.argument("data")
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path),
    help="File to write, whose name ends in .npz or .parquet.",
)  # fmt: skip
@click.option(
    "--map", "page", metavar="FILE", type=click.Path(path_type=Path),
    help="HTML page to write: a map on which similar images lie near each other.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the map.")
@with_network_options
@with_reading_options
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    data: str,
    out: Path | None,
    page: Path | None,
    seed: int,
    network: str | Run | None,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    """Write the features of the images of DATA: their values in front of the head of a network.

    DATA is as for `saccade train`, or a folder or an archive of images without labels. The file has a row for each
    image, with path, content hash, label, split and features. Features are kept in the cache.
    """
    if out is None and page is None:
        raise click.UsageError("--out FILE or --map FILE is required.")
    from saccade.labeling.embeddings import embed

    embeddings = embed(data, network=network, out=out, map_to=page, seed=seed, reading=reading, progress=True)
    files = [str(path) for path in (out, page) if path is not None]
    n, width = embeddings.features.shape
    height, size = embeddings.size
    if as_json:
        print_json(
            {
                "files": files,
                "num_images": n,
                "num_features": width,
                "network": embeddings.network,
                "image_size": list(embeddings.size),
                "num_labels": len(set(embeddings.labels) - {""}),
                "unreadable": [{"path": image.path, "reason": image.reason} for image in embeddings.unreadable],
                "notes": list(embeddings.notes),
            }
        )
        return
    print_notes(embeddings.notes)
    images = counted(n, "image")
    print_line(f"{width:,} features of {images} by {embeddings.network} at {size}x{height} pixels")
    print_line(f"written: {', '.join(files)}")
    if embeddings.unreadable:
        print_line(f"unreadable files: {len(embeddings.unreadable):,}")
        print_unreadable(embeddings.unreadable, "the file lists them all")
