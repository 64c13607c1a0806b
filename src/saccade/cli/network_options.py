"""Options of the commands that compute features: the network that gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from saccade.cli.option_groups import option_group

if TYPE_CHECKING:
    from saccade.runs.run import Run


def _chosen_network(run: str | None, source: str | None) -> str | Run | None:
    """Return the network of --run or --from; None: the default one."""
    if run is not None and source is not None:
        raise click.UsageError("--run and --from cannot be combined.")
    if run is None:
        return source
    from saccade.runs.run import Run

    return Run.open(run)


_OPTIONS = (
    click.option("--run", metavar="RUN", help="Run whose network gives the features."),
    click.option(
        "--from", "source", metavar="NETWORK",
        help="Pretrained network that gives the features. Default: EfficientNetLite0, which is part of this package.",
    ),
)  # fmt: skip

with_network_options = option_group("network", _OPTIONS, _chosen_network)
"""Add --run and --from to a command, which gets the network as the argument `network`."""
