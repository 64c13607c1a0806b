"""The `saccade` program: loads the module of a command when the command is called, and prints errors."""

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

# command -> purpose, in the order of a first session. The module of a command is saccade.cli.<command>, with _ for -.
COMMANDS = {
    "explore": "Show class counts, image sizes, unreadable files, duplicates and samples of data.",
    "audit": "Find label errors, duplicates, leaks, outliers and other problems in data.",
    "embed": "Write the features of images by a pretrained network or a run.",
    "similar": "Find the images that are most similar to an image, a folder or a class.",
    "label": "Label all images of a folder from some answers, with a promise on the error.",
    "train": "Train a classifier and write a run directory.",
    "tune": "Search for better settings of a recipe and compare them with the defaults.",
    "learning-curve": "Estimate whether more images would increase the accuracy.",
    "evaluate": "Measure accuracy, calibration and other metrics of a run on the test split.",
    "estimate": "Estimate the accuracy of a run on unlabeled images from few labels.",
    "report": "Write an HTML report and a model card of a run.",
    "compare": "Compare runs and decide whether one is better.",
    "predict": "Classify images with a run.",
    "export": "Export the model of a run for Keras, TensorFlow, ONNX Runtime or LiteRT.",
    "benchmark": "Measure size, accuracy, speed and memory of a run in every export format.",
    "serve": "Serve runs as a web page and an HTTP API.",
    "recipes": "List the recipes or show one.",
    "cache": "List or clear the cache.",
}


class CommandGroup(click.Group):
    """Group of the commands, each of which is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of a first session."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of a name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"saccade.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command as click does. The error for an unknown command names the nearest command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"The commands are {', '.join(COMMANDS)}."
            ctx.fail(f"No such command '{args[0]}'. {hint}")
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and any(word == "" or word.endswith("=") for word in rest):
            _reject_empty(command, name, rest)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _reject_empty(command: click.Command, name: str | None, words: list[str]) -> None:
    """Reject an empty argument or option, such as the value of an unset shell variable.

    Without this check an empty path would name the current folder.
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
    """Train, measure, explain and deploy image classifiers.

    A first session: saccade explore DATA, saccade train DATA, saccade evaluate RUN, saccade predict RUN IMAGE.

    DATA is a folder of class folders, an archive of such a folder, digits or cifar10. RUN is the directory that
    `saccade train` writes.
    """
    if missing := missing_protections():
        print_line(f"warning: on this system {'; '.join(missing)}", err=True)


def main() -> None:
    """Run the command line. Exit codes: 0 success, 1 error, 2 wrong command line, 130 Ctrl-C, 141 closed pipe."""
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
        # The reader of the pipe has ended, as in `saccade ... | head`.
        _drop_output()
        code = 141
    except OSError as error:
        # Such as a full disk or a folder without write permission.
        print_line(f"error: {error.strerror or error}" + (f": '{error.filename}'" if error.filename else ""), err=True)
        if error.errno == errno.ENAMETOOLONG:
            print_line("  expected: a path whose names are short enough for this system, mostly 255 bytes", err=True)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        code = 1
    sys.exit(_exit_code(code))


def _drop_output() -> None:
    """Redirect stdout to the null device, so that Python does not fail on its buffer at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_code(code: Any) -> int:
    return code if isinstance(code, int) else 0
