"""Options of the commands that work on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from saccade.cli.option_groups import option_group
from saccade.cli.output import print_json, print_line, print_notes
from saccade.sanitize import counted, duration_in_words, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from saccade.cluster.nodes import Node
    from saccade.cluster.options import ClusterOptions
    from saccade.cluster.plan import ClusterPlan
    from saccade.cluster.result import ClusterResult
    from saccade.cluster.trainings import TrainingPlan

_LOCAL = "local"

_OPTIONS = (
    click.option(
        "--ray", "address", metavar="[ADDRESS]", is_flag=False, flag_value=_LOCAL,
        help="Work on the Ray cluster at HOST:PORT, or on the one that runs here for auto. Without an address: on a "
        "Ray on this machine that starts and ends with the command. An option or the end must follow --ray alone.",
    ),
    click.option(
        "--workers", type=click.IntRange(min=1), metavar="N",
        help="With --ray: number of workers. Default: as many as the cores of all nodes allow.",
    ),
    click.option(
        "--threads", type=click.IntRange(min=1), metavar="N",
        help="With --ray: threads of each worker. Default: 1.",
    ),
)  # fmt: skip

_OPTIONS_OF_IMAGES = (
    click.option(
        "--max-unreadable", metavar="SHARE",
        help="With --ray: stop if more images of all nodes are unreadable, such as 1% or 100. Default: never.",
    ),
    click.option(
        "--dry-run", is_flag=True,
        help="With --ray: check the nodes, print them and the expected time, and stop.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class ClusterUse:
    """What a command is to do on a cluster.

    Attributes:
        options: the cluster and its use.
        dry_run: whether only the nodes and the expected time are asked for.
    """

    options: ClusterOptions
    dry_run: bool


def _cluster_options(address: str | None, workers: int | None, threads: int | None) -> ClusterOptions | None:
    """Return the cluster that --ray asks for; None without --ray."""
    if address is None:
        require_ray(workers=workers, threads=threads)
        return None
    from saccade.cluster.options import ClusterOptions

    return ClusterOptions(address, workers, threads or 1)


def _cluster_use(
    address: str | None, workers: int | None, threads: int | None, max_unreadable: str | None, dry_run: bool
) -> ClusterUse | None:
    """Return what --ray and the options that need it ask for; None without --ray."""
    options = _cluster_options(address, workers, threads)
    if options is None:
        require_ray(max_unreadable=max_unreadable, dry_run=dry_run)
        return None
    return ClusterUse(replace(options, max_unreadable=max_unreadable), dry_run)


with_cluster_options = option_group("cluster", _OPTIONS, _cluster_options)
"""Add --ray, --workers and --threads to a command, which gets `ClusterOptions`, or None, as the argument `cluster`."""

with_ray_options = option_group("cluster", (*_OPTIONS, *_OPTIONS_OF_IMAGES), _cluster_use)
"""Add the options of a cluster for images to a command, which gets `ClusterUse`, or None, as the argument `cluster`."""


def require_ray(**options: object) -> None:
    """Require that options that are for a cluster only are not given."""
    for name, value in options.items():
        if value:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --ray.")


def require_out(out: str | None) -> str:
    """Return the value of --out, which a cluster needs."""
    if out is None:
        raise click.UsageError("--ray needs --out DIR.")
    return out


def require_alone(**options: object) -> None:
    """Require that options that a cluster does not support are not given."""
    for name, value in options.items():
        if value:
            raise click.UsageError(f"--{name.replace('_', '-')} and --ray cannot be combined.")


def print_result(result: ClusterResult, *, as_json: bool) -> None:
    """Print the result of a prediction; exit with code 1 if an image is unreadable, as without a cluster."""
    if as_json:
        print_notes(result.notes)
        print_json(result.to_dict())
    else:
        print_rows(result)
    if result.num_unreadable:
        print_unreadable_count(result)
        raise SystemExit(1)


def print_rows(result: ClusterResult) -> None:
    """Print the number of images, the cluster and the place of the rows."""
    print_notes(result.notes)
    continued = f", {result.num_continued:,} of them before" if result.num_continued else ""
    print_line(f"{counted(result.num_images, 'image')}{continued}")
    print_line(f"workers: {result.workers:,} on {', '.join(result.nodes)}")
    print_line(f"written: {printable(result.out)}")


def print_unreadable_count(result: ClusterResult) -> None:
    """Print the number of unreadable images to standard error."""
    total = counted(result.num_images, "image")
    print_line(f"{result.num_unreadable:,} of {total} could not be read", err=True)


def print_plan(plan: ClusterPlan, *, as_json: bool) -> None:
    """Print the nodes of a cluster, and the time that the work is expected to take."""
    if as_json:
        print_json(plan.to_dict())
        return
    for node in plan.nodes:
        versions = ", ".join(f"{name} {version}" for name, version in node.report["versions"].items())
        print_line(
            f"{node.address}: {counted(int(node.cores), 'core')}, {node.memory / 1e9:.1f} GB of memory, "
            f"{node.object_store / 1e6:,.0f} MB of object store, sees {plan.num_sampled} of {plan.num_sampled} images"
        )
        print_line(f"  {versions}")
    print_line(
        f"{counted(plan.num_images, 'image')} by {counted(plan.workers, 'worker')}: "
        f"about {duration_in_words(plan.seconds)} after the start"
    )


def print_training_plan(plan: TrainingPlan, *, as_json: bool) -> None:
    """Print the nodes of a cluster, and the trainings that would run on them."""
    if as_json:
        print_json(plan.to_dict())
        return
    print_nodes(plan.nodes, plan.paths)
    each = f"each with {counted(plan.threads, 'thread')}"
    print_line(f"{counted(plan.num_trainings, 'training')}, {plan.at_once:,} at once, {each}")


def print_nodes(nodes: Sequence[Node], paths: Sequence[str]) -> None:
    """Print the nodes of a cluster, and the files and the folder of the results that all of them see."""
    for node in nodes:
        found = node.report["versions"].items()
        print_line(f"{node.address}: {counted(int(node.cores), 'core')}, {node.memory / 1e9:.1f} GB of memory")
        print_line(f"  {', '.join(f'{name} {version}' for name, version in found if version != 'missing')}")
    *files, out = map(printable, paths)
    such = f" {counted(len(files), 'file')} of the work, such as {files[0]}, and" if files else ""
    print_line(f"all nodes see{such} the folder of {out}")
