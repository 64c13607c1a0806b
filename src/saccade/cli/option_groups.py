"""Groups of options that several commands share: each group becomes one argument of a command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

_Command = TypeVar("_Command", bound=Callable[..., Any])
Option = Callable[[Any], Any]
"""What `click.option` returns."""


def option_group(
    argument: str, options: Sequence[Option], build: Callable[..., object]
) -> Callable[[_Command], _Command]:
    """Return a decorator that adds a group of options to a command.

    Args:
        argument: argument of the command that gets the value of the group.
        options: the options, in the order of the help.
        build: function of the values of the options, by their names, that returns the value of the group.
    """
    names = tuple(inspect.signature(build).parameters)

    def with_options(command: _Command) -> _Command:
        @functools.wraps(command)
        def run(*args: Any, **values: Any) -> Any:
            value = build(**{name: values.pop(name) for name in names})
            return command(*args, **{argument: value}, **values)

        decorated: Any = run
        for option in reversed(options):
            decorated = option(decorated)
        return cast(_Command, decorated)

    return with_options
