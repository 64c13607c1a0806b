"""What README and the pages of docs/ tell their reader to type: found in the text, and run as it stands."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from saccade.cli.main import cli


@dataclass(frozen=True)
class Snippet:
    """A fenced block: its language ("sh", "python", "text") and its text."""

    language: str
    code: str


def fenced_blocks(page: str) -> list[Snippet]:
    """All fenced blocks of a page, in order."""
    return [Snippet(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)]


def indented_commands(page: str) -> list[list[str]]:
    """The arguments of all indented lines that call `saccade`, comments left away."""
    return [
        shlex.split(line, comments=True)[1:] for line in re.findall(r"^    (saccade .*)$", page, flags=re.MULTILINE)
    ]


def commands(code: str) -> list[list[str]]:
    """The arguments of the lines of a shell block, each of which calls `saccade`."""
    typed = [shlex.split(line, comments=True) for line in code.splitlines() if line.strip()]
    assert all(words[0] == "saccade" for words in typed), code
    return [words[1:] for words in typed]


def run_here(arguments: Sequence[str]) -> Result:
    """Runs `saccade` in this process and in the working directory, wildcards expanded as a shell does."""
    expanded = [word for argument in arguments for word in _expanded(argument)]
    return CliRunner().invoke(cli, expanded, catch_exceptions=True)


def run_alone(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs `saccade` in a process of its own, in a folder."""
    return _run("-m", "saccade", *arguments, folder=folder)


@contextmanager
def started(arguments: Sequence[str], folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`saccade` in a process of its own, in a folder, and the first line of its stderr; killed at the end."""
    command = [sys.executable, "-m", "saccade", *arguments]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield process, process.stderr.readline().strip()
        finally:
            process.kill()


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process of its own, in a folder."""
    return _run("-c", code, folder=folder)


def _run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def _expanded(word: str) -> list[str]:
    return sorted(str(path) for path in Path().glob(word)) if "*" in word else [word]
