"""The `saccade` command: finds a command, shows errors plainly. Commands load only what they need, when called."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
from typing import Any

import click

from saccade.cli.output import print_line
from saccade.errors import SaccadeError
from saccade.keras_loading import this_process_is_our_own
from saccade.machine import missing_protections

# command -> what it does, in the order of a first session. The module saccade.cli.<command>, - written _, holds the
# command.
COMMANDS = {
    "explore": "Look at data: counts, sizes, unreadable files, duplicates, sample images.",
    "audit": "Find what is wrong with data: label errors, duplicates, leaks, odd images.",
    "train": "Train a classifier; leaves a run directory.",
    "tune": "Search better settings for a recipe, and see whether they are better.",
    "learning-curve": "Tell whether more images would help, from trainings on fewer.",
    "evaluate": "Measure a run on the test split, with intervals.",
    "report": "Make a page to read of a run, and a model card.",
    "compare": "Compare runs, with a verdict: better, or not distinguishable.",
    "predict": "Classify images with a run.",
    "export": "Save a run's model for Keras, TensorFlow, ONNX Runtime or LiteRT.",
    "benchmark": "Measure a run in every format: size, accuracy, speed, memory, start.",
    "serve": "Answer requests for images' classes: a page and an API.",
    "recipes": "List the recipes, or show one.",
    "cache": "Show what the cache holds, or clear it.",
}


class CommandGroup(click.Group):
    """Commands by name; a module is imported only when its command is called, a near miss is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of a first session."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, its module imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"saccade.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest command named when there is none of that name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"The commands are {', '.join(COMMANDS)}."
            ctx.fail(f"No such command '{args[0]}'. {hint}")
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and any(word == "" or word.endswith("=") for word in rest):
            _reject_empty(command, name, rest)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _reject_empty(command: click.Command, name: str | None, words: list[str]) -> None:
    """Fails where an argument or an option is empty, as of a shell variable that is not set: no path is empty.

    An empty path would be the current folder.
    """
    context = click.Context(command, info_name=f"saccade {name}")
    values, _, _ = command.make_parser(context).parse_args(list(words))
    for parameter in command.params:
        given = values.get(str(parameter.name))
        if given == "" or (isinstance(given, (list, tuple)) and "" in given):
            named = parameter.get_error_hint(context)
            raise click.UsageError(f"{named} is empty: is a shell variable not set?", context)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="saccade")
def cli() -> None:
    """From images in class folders, or CIFAR-10, to a classifier that you can trust.

    A first session: saccade explore DATA, saccade train DATA, saccade evaluate RUN, saccade predict RUN IMAGE.
    DATA is cifar10, digits, a folder of class folders, or an archive of one.
    """
    if missing := missing_protections():
        print_line(f"warning: on this system {'; '.join(missing)}", err=True)


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 1 an error that is explained, 2 a wrong command line, 130 Ctrl-C."""
    this_process_is_our_own()
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except SaccadeError as error:
        print_line(f"error: {error}", err=True)
        code = 1
    except (click.Abort, KeyboardInterrupt):
        print_line("stopped", err=True)
        code = 130
    except BrokenPipeError:
        # The reader went away (`saccade ... | head`): nothing more to say, and nothing to say it to.
        _drop_output()
        code = 141
    except OSError as error:
        # A full disk, a folder that may not be written: a fact of the machine, not a fault of the program.
        print_line(f"error: {error.strerror or error}" + (f": '{error.filename}'" if error.filename else ""), err=True)
        if error.errno == errno.ENAMETOOLONG:
            print_line("  expected: a path of names that this system allows, mostly of 255 bytes at most", err=True)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        code = 1
    sys.exit(_exit_code(code))


def _drop_output() -> None:
    """What is left in the buffer of stdout goes nowhere: else Python itself would fail on it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_code(code: Any) -> int:
    return code if isinstance(code, int) else 0
