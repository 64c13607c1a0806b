"""Options of the commands that compute features: the network that gives them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from saccade.runs.run import Run

_Command = TypeVar("_Command", bound=Callable[..., Any])


def with_network_options(command: _Command) -> _Command:
    """Add --run and --from to a command, which gets the network as the argument `network`."""

    @functools.wraps(command)
    def with_network(*args: Any, run: str | None, source: str | None, **options: Any) -> Any:
        return command(*args, network=_chosen_network(run, source), **options)

    source = click.option(
        "--from", "source", metavar="NETWORK",
        help="Pretrained network that gives the features. Default: EfficientNetLite0, which is part of this package.",
    )  # fmt: skip
    run = click.option("--run", metavar="RUN", help="Run whose network gives the features.")
    decorated: Any = run(source(with_network))
    return cast(_Command, decorated)


def _chosen_network(run: str | None, source: str | None) -> str | Run | None:
    """Return the network of --run or --from; None: the default one."""
    if run is not None and source is not None:
        raise click.UsageError("--run and --from cannot be combined.")
    if run is None:
        return source
    from saccade.runs.run import Run

    return Run.open(run)
