"""Table of all command lines of the tests, in the order of a first session, and the rows that need no run."""

from tests.commands.looking import LOOKING
from tests.commands.photographs import PHOTOGRAPHS
from tests.commands.reading import READING
from tests.commands.rows import Row
from tests.commands.serving import SERVING
from tests.commands.training import TRAINING
from tests.commands.using import USING
from tests.snippets import Outcome

from saccade.cli.main import COMMANDS


def _is_one_recipe(outcome: Outcome) -> None:
    shown = outcome.json
    assert shown["name"] == "two-phase"
    assert (shown["parameters"], shown["settings"]["plain_epochs"]) == (2_397_226, 10)


def _has_no_two_rows_alike(outcome: Outcome) -> None:
    _, *rows, _ = outcome.stdout.splitlines()
    assert len({tuple(row.split()[:2]) for row in rows}) == len(rows) > 3


def _only_hands_is_gone(outcome: Outcome) -> None:
    shown = outcome.json
    assert {entry["name"] for entry in shown["removed"]} == {"hands"}
    left = {entry["name"] for entry in shown["entries"]}
    assert "tiny" in left
    assert "hands" not in left


WITHOUT_RUN = [
    *(
        Row(f"{command_name} --help", [rf"^Usage: .* {command_name} ", r"--help +Show this message"])
        for command_name in COMMANDS
    ),
    Row("--help", [rf"^  {command_name} +\S" for command_name in COMMANDS]),
    Row("--version", [r"version \d+\.\d+\.\d+"], alone=True),
    Row("recipes", [r"^recipe +epochs +weights", r"^fast +0\+8 +1,973,944", "^quick: "], alone=True),
    Row("recipes scheduled", [r"^learning_rate +\S+ +highest learning rate", "123,466 weights"]),
    Row("recipes two-phase --json", look=_is_one_recipe),
    Row(
        "cache",
        [r"^hands +decoded +\d+ +\d+\.\d MB", r"^hands +features +\d+ +0\.[1-9] MB", r"MB of at most 20,000\.0 MB in "],
        alone=True,
        look=_has_no_two_rows_alike,
    ),
    Row("cache --clear hands --json", look=_only_hands_is_gone),
    Row("cache --clear", [r"^removed [1-9]\d* entries, .*; 0 left$"]),
]

ROWS = [*LOOKING, *TRAINING, *READING, *PHOTOGRAPHS, *USING, *SERVING, *WITHOUT_RUN]
