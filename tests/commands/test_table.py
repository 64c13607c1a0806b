"""Every command line of the table does what it should, and together they name every option and every choice."""

import pytest
from tests.commands.rows import all_spelled, check, spelled_in
from tests.commands.table import ROWS

from saccade.cli.main import COMMANDS

DAILY = [row for row in ROWS if not row.long]


def typed(row):
    return pytest.param(row, marks=pytest.mark.docs if row.long else (), id=row.typed)


@pytest.mark.parametrize("row", [typed(row) for row in ROWS])
def test_what_is_typed_does_what_must_be_seen(row, desk):
    check(row, desk.outcome(row))


def test_every_command_ran_in_a_process_of_its_own(desk):
    alone = {row.command_name for row in DAILY if (row.alone or row.ask) and desk.outcome(row).code == 0}
    assert set(COMMANDS) - alone == set()


def test_every_option_and_every_choice_was_typed_with_success(desk):
    """What is done by a row that takes too long for every day is left to `make test-docs`, which does all rows."""
    done = {spelled for row in DAILY if desk.outcome(row).code == 0 for spelled in spelled_in(row.words)}
    left = {spelled for row in ROWS if row.long for spelled in spelled_in(row.words)}
    assert sorted(all_spelled() - done - left) == []
