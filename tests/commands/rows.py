"""Row of the table: a command line and its expected outcome. A test runs the row as a user would."""

import io
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from tests.snippets import Outcome, run_alone, run_here, started

from saccade.cli.main import cli

_MINUTES = 5.0


@dataclass(frozen=True)
class Row:
    """Command line and its expected outcome.

    Attributes:
        typed: command line without the word `saccade`.
        seen: regular expressions, each of which matches a line of stdout or stderr.
        code: exit code.
        made: files and folders that exist afterward.
        look: function that raises `AssertionError` for an unexpected outcome.
        leaves: folder or file that other rows use; by default the value of --out.
        before: function that prepares the working directory.
        ask: function that sends requests to the server, given its address. The server is then ended by SIGTERM.
        stop_at: beginning of the line of stderr at which Ctrl-C is pressed.
        alone: run in a separate process, as users do.
        long: too slow for `make test`; `make test-long` runs the row.
        needs: module without which the row is skipped.
    """

    typed: str
    seen: Sequence[str] = ()
    code: int = 0
    made: Sequence[str] = ()
    look: Callable[[Outcome], object] | None = None
    leaves: str = ""
    before: Callable[[Path], object] | None = None
    ask: Callable[[str, Path], object] | None = None
    stop_at: str = ""
    alone: bool = False
    long: bool = False
    needs: str = ""

    @cached_property
    def words(self) -> list[str]:
        """Words of the command line, split as by a shell."""
        return shlex.split(self.typed)

    @property
    def command_name(self) -> str:
        """Name of the command; empty without a command."""
        return "" if self.words[0].startswith("-") else self.words[0]

    def output_path(self) -> str:
        """Return the path that other rows may use; empty without such a path."""
        return self.leaves or (self.words[self.words.index("--out") + 1] if "--out" in self.words else "")

    def depends_on(self, other: "Row") -> bool:
        """Return `True` if a word of this line names the path that another row leaves."""
        left = other.output_path()
        return (
            bool(left) and left != self.output_path() and any(f"{word}/".startswith(f"{left}/") for word in self.words)
        )

    def type_in(self, folder: Path) -> Outcome:
        """Run the command line in a folder."""
        if self.before is not None:
            self.before(folder)
        if self.ask is not None:
            return self._serve(folder, self.ask)
        if self.stop_at:
            return self._stop(folder)
        return run_alone(self.words, folder) if self.alone else run_here(self.words, folder)

    def _serve(self, folder: Path, ask: Callable[[str, Path], object]) -> Outcome:
        with started(self.words, folder) as (process, first):
            ask(first.removeprefix("serving at "), folder)
            process.send_signal(signal.SIGTERM)
            _, rest = process.communicate(timeout=60 * _MINUTES)
            return Outcome(process.returncode, "", f"{first}\n{rest}", folder)

    def _stop(self, folder: Path) -> Outcome:
        command = [sys.executable, "-m", "saccade", *self.words]
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            shown = io.StringIO()
            for line in process.stderr:
                shown.write(line)
                if line.startswith(self.stop_at):
                    process.send_signal(signal.SIGINT)
                    break
            stdout, rest = process.communicate(timeout=60 * _MINUTES)
            return Outcome(process.returncode, stdout, shown.getvalue() + rest, folder)


@dataclass
class Desk:
    """Working directory in which each row of a table runs once, after the rows that it depends on.

    Attributes:
        folder: working directory.
        rows: rows of the table.
    """

    folder: Path
    rows: Sequence[Row]
    _outcomes: dict[str, Outcome] = field(default_factory=dict)

    def outcome(self, row: Row) -> Outcome:
        """Run the row once, and return its outcome."""
        if row.typed not in self._outcomes:
            for other in self.rows:
                if row.depends_on(other):
                    self.outcome(other)
            self._outcomes[row.typed] = row.type_in(self.folder)
        return self._outcomes[row.typed]


Spelled = tuple[str, str, str]
"""Command, option and, for an option with a choice of values, the value."""


def spelled_in(words: Sequence[str]) -> set[Spelled]:
    """Return the options of a command line, by the parser of click."""
    _, rest, in_order = _parsed(cli, words)
    if not rest:
        return {(*_named("", option),) for option in in_order}
    command_name, *arguments = rest
    command = cli.get_command(click.Context(cli), command_name)
    assert command is not None, command_name
    values, _, in_order = _parsed(command, arguments)
    found: set[Spelled] = set()
    for option in in_order:
        if isinstance(option, click.Option):
            found.add(_named(command_name, option))
            if isinstance(option.type, click.Choice):
                found.add((command_name, option.opts[0], str(values[str(option.name)])))
    return found


def all_spelled() -> set[Spelled]:
    """Return all options of all commands, with all values of choices."""
    from saccade.cli.main import COMMANDS

    found: set[Spelled] = set()
    for command_name in ("", *COMMANDS):
        command = cli.get_command(click.Context(cli), command_name) if command_name else cli
        assert command is not None
        for option in command.get_params(_context(command)):
            if isinstance(option, click.Option):
                found.add(_named(command_name, option))
                if isinstance(option.type, click.Choice):
                    found |= {(command_name, option.opts[0], str(value)) for value in option.type.choices}
    return found


def _named(command_name: str, option: click.Parameter) -> Spelled:
    return (command_name, next(name for name in option.opts if name.startswith("--")), "")


def _parsed(command: click.Command, words: Sequence[str]) -> tuple[dict[str, Any], list[str], list[click.Parameter]]:
    values, rest, in_order = command.make_parser(_context(command)).parse_args(list(words))
    return dict(values), rest, in_order


def _context(command: click.Command) -> click.Context:
    return click.Context(command, **cli.context_settings)


def check(row: Row, outcome: Outcome) -> None:
    """Compare an outcome with the expectation of its row.

    Raises:
        AssertionError: exit code, output or files differ.
    """
    shown = f"saccade {row.typed}\nexit code {outcome.code}\n{outcome.shown}"
    assert outcome.code == row.code, shown
    assert "Traceback" not in outcome.stderr, shown
    if row.alone:  # no terminal control characters and no TensorFlow notices
        assert not re.search("\r|\x1b|oneDNN (custom|supports)", outcome.shown), shown
    for pattern in row.seen:
        assert re.search(pattern, outcome.shown, re.MULTILINE), f"not seen: {pattern}\n{shown}"
    for path in row.made:
        assert (outcome.folder / path).exists(), f"not made: {path}\n{shown}"
    if row.look is not None:
        row.look(outcome)
