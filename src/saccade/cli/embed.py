"""`saccade embed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from saccade.cli.network_options import with_network_options
from saccade.cli.output import print_json, print_line, print_notes, print_unreadable
from saccade.cli.ray_options import (
    ClusterUse,
    print_plan,
    print_rows,
    print_unreadable_count,
    require_alone,
    require_out,
    with_ray_options,
)
from saccade.cli.reading_options import with_reading_options
from saccade.data.reading_options import ReadingOptions
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.runs.run import Run


@click.command("embed")
@click.argument("data")
@click.option(
    "--out", metavar="FILE",
    help="File to write, whose name ends in .npz or .parquet. With --ray: new folder of Parquet files, which all nodes "
    "share, or s3://BUCKET/KEY.",
)  # fmt: skip
@click.option(
    "--map", "page", metavar="FILE", type=click.Path(path_type=Path),
    help="HTML page to write: a map on which similar images lie near each other.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the map.")
@with_network_options
@with_reading_options
@with_ray_options
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    data: str,
    out: str | None,
    page: Path | None,
    seed: int,
    network: str | Run | None,
    reading: ReadingOptions,
    cluster: ClusterUse | None,
    as_json: bool,
) -> None:
    """Write the features of the images of DATA: their values in front of the head of a network.

    DATA is as for `saccade train`, or a folder or an archive of images without labels. The file has a row for each
    image, with path, content hash, label, split and features. Features are kept in the cache.

    With --ray DATA is a folder, a label file or an address such as s3://BUCKET/KEY, the network works on a cluster, and
    nothing is kept in the cache. A command that was stopped continues when it is repeated.
    """
    if cluster is not None:
        require_alone(map=page, stream=reading.stream, archive_encoding=reading.archive_encoding)
        _embed_on_cluster(data, out, cluster, network, reading, as_json)
        return
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


def _embed_on_cluster(
    data: str,
    out: str | None,
    cluster: ClusterUse,
    network: str | Run | None,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    if out is not None and out.lower().endswith(".npz"):
        raise click.UsageError("--ray writes a folder of Parquet files, not an .npz file.")
    if cluster.dry_run:
        from saccade.cluster.embed import plan_embedding

        print_plan(plan_embedding(data, out, cluster.options, network=network, reading=reading), as_json=as_json)
        return
    out = require_out(out)
    from saccade.cluster.embed import embed_on_cluster

    embeddings = embed_on_cluster(data, out, cluster.options, network=network, reading=reading, progress=True)
    result, width = embeddings.result, embeddings.num_features
    if as_json:
        print_notes(result.notes)
        made = {"network": embeddings.network, "num_features": width, "image_size": list(embeddings.size)}
        print_json({**result.to_dict(), **made})
    else:
        height, size = embeddings.size
        print_line(f"{width:,} features by {embeddings.network} at {size}x{height} pixels")
        print_rows(result)
    if result.num_unreadable:
        print_unreadable_count(result)
