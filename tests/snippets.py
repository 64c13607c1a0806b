"""Command lines and code blocks of README and docs/: found in the text, and run."""

import contextlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from saccade.cli.main import cli
from saccade.errors import SaccadeError


@dataclass(frozen=True)
class Snippet:
    """A fenced block: its language ("sh", "python", "text") and its text."""

    language: str
    code: str


def fenced_blocks(page: str) -> list[Snippet]:
    """Return all fenced blocks of a page, in order."""
    return [Snippet(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)]


def command_lines(page: str) -> list[str]:
    """Return all lines of a page that call `saccade`, each once, in order, without comments and redirections.

    Lines are indented, in shell blocks, or in backticks in a sentence; the latter only with more than a command's name.
    """
    flowing = re.sub(r"\n(?=\S)", " ", re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE))
    lines = [
        *re.findall(r"^(?:    )?(saccade .*)$", page, flags=re.MULTILINE),
        *(line for line in re.findall(r"`(saccade [^`]*)`", flowing) if len(line.split()) > 2),
    ]
    plain = (shlex.join(shlex.split(re.sub(r" +> .*", "", line), comments=True)[1:]) for line in lines)
    return list(dict.fromkeys(plain))


@dataclass(frozen=True)
class Outcome:
    """Result of a command line.

    Attributes:
        code: exit code.
        stdout: text.
        stderr: text, with the message of an error.
        folder: working directory of the command.
    """

    code: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def shown(self) -> str:
        """Standard output and standard error."""
        return f"{self.stdout}\n{self.stderr}"

    @property
    def json(self) -> Any:
        """JSON document on standard output."""
        return json.loads(self.stdout)

    def read(self, path: str) -> Any:
        """Read a JSON file that the command wrote."""
        return json.loads((self.folder / path).read_text(encoding="utf-8"))


def run_here(arguments: Sequence[str], folder: Path) -> Outcome:
    """Run `saccade` in this process, in a folder, with wildcards expanded as by a shell."""
    with contextlib.chdir(folder):
        expanded = [word for argument in arguments for word in _expanded(argument)]
        result = CliRunner().invoke(cli, expanded)
    error = result.exception
    if error is not None and not isinstance(error, SaccadeError | SystemExit):
        raise error
    message = f"error: {error}\n" if isinstance(error, SaccadeError) else ""
    return Outcome(result.exit_code, result.stdout, result.stderr + message, folder)


def run_alone(arguments: Sequence[str], folder: Path) -> Outcome:
    """Run `saccade` in a process of its own, in a folder."""
    done = _run("-m", "saccade", *arguments, folder=folder)
    return Outcome(done.returncode, done.stdout, done.stderr, folder)


@contextmanager
def started(arguments: Sequence[str], folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start `saccade` in a process of its own; yield process and first line of stderr; kill the process at the end."""
    command = [sys.executable, "-m", "saccade", *arguments]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield process, process.stderr.readline().strip()
        finally:
            process.kill()


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, in a folder."""
    return _run("-c", code, folder=folder)


def _run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def _expanded(word: str) -> list[str]:
    """Return the paths that match a word; the word itself where none does, as in a shell."""
    return sorted(str(path) for path in Path().glob(word)) or [word] if "*" in word else [word]
