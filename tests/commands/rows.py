"""A row of the table: what is typed, and what must be seen. Running a row is what a user does who types it."""

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
    """A command line and what must be seen after it.

    Attributes:
        typed: the line without the word `saccade`.
        seen: regular expressions; each is found in a line of stdout or stderr.
        code: exit code.
        made: files and folders that are there afterward.
        look: raises where the outcome is not what it has to be.
        leaves: the folder or file that other rows go on from; the value of --out where nothing else is said.
        before: what is done by hand before the line is typed.
        ask: of a server: asks it, given its address; the server is then ended by SIGTERM.
        stop_at: Ctrl-C is pressed when a line of stderr begins with this.
        alone: in a process of its own, as users run it.
        long: it takes too long for `make test`; `make test-docs` runs it.
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

    @cached_property
    def words(self) -> list[str]:
        """The words that the shell hands over."""
        return shlex.split(self.typed)

    @property
    def command_name(self) -> str:
        """The command; empty where the line has none."""
        return "" if self.words[0].startswith("-") else self.words[0]

    def leavings(self) -> str:
        """The path that other rows may go on from; empty where there is none."""
        return self.leaves or (self.words[self.words.index("--out") + 1] if "--out" in self.words else "")

    def goes_on_from(self, other: "Row") -> bool:
        """Whether a word of this line names what another row leaves."""
        left = other.leavings()
        return bool(left) and left != self.leavings() and any(f"{word}/".startswith(f"{left}/") for word in self.words)

    def type_in(self, folder: Path) -> Outcome:
        """Types the line in a folder."""
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
    """A folder in which the rows of a table are typed, each once, and those that it goes on from before it.

    Attributes:
        folder: the working directory.
        rows: the table.
    """

    folder: Path
    rows: Sequence[Row]
    _outcomes: dict[str, Outcome] = field(default_factory=dict)

    def outcome(self, row: Row) -> Outcome:
        """What typing the row came to."""
        if row.typed not in self._outcomes:
            for other in self.rows:
                if row.goes_on_from(other):
                    self.outcome(other)
            self._outcomes[row.typed] = row.type_in(self.folder)
        return self._outcomes[row.typed]


Spelled = tuple[str, str, str]
"""A command, an option and, where the option has a choice of values, a value."""


def spelled_in(words: Sequence[str]) -> set[Spelled]:
    """The options that a command line names, by click's own parser."""
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
    """All options of all commands, and all values of those that have a choice."""
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
    """Raises unless the outcome is what the row says.

    Raises:
        AssertionError: exit code, what is shown or what was made differs.
    """
    shown = f"saccade {row.typed}\nexit code {outcome.code}\n{outcome.shown}"
    assert outcome.code == row.code, shown
    assert "Traceback" not in outcome.stderr, shown
    if row.alone:  # nothing that only a terminal understands, no notice of TensorFlow's
        assert not re.search("\r|\x1b|oneDNN", outcome.shown), shown
    for pattern in row.seen:
        assert re.search(pattern, outcome.shown, re.MULTILINE), f"not seen: {pattern}\n{shown}"
    for path in row.made:
        assert (outcome.folder / path).exists(), f"not made: {path}\n{shown}"
    if row.look is not None:
        row.look(outcome)
