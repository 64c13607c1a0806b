"""Outcome of every command line of the table, which covers every option and every choice."""

import pytest
from tests.commands.rows import all_spelled, check, spelled_in
from tests.commands.table import ROWS

from saccade.cli.main import COMMANDS

DAILY = [row for row in ROWS if not row.long]


def typed(row):
    return pytest.param(row, marks=pytest.mark.long if row.long else (), id=row.typed)


@pytest.mark.parametrize("row", [typed(row) for row in ROWS])
def test_the_command_line_has_the_expected_outcome(row, desk):
    if row.needs:
        pytest.importorskip(row.needs, reason=f"{row.needs} is not installed; `make test-ray` installs Ray")
    check(row, desk.outcome(row))


def test_every_command_runs_in_a_separate_process_once():
    alone = {row.command_name for row in ROWS if (row.alone or row.ask) and row.code == 0}
    assert set(COMMANDS) - alone == set()


def test_every_option_and_every_choice_ran_successfully(desk):
    """Options of the long rows are left to `make test-long`, which runs all rows."""
    done = {spelled for row in DAILY if desk.outcome(row).code == 0 for spelled in spelled_in(row.words)}
    left = {spelled for row in ROWS if row.long for spelled in spelled_in(row.words)}
    assert sorted(all_spelled() - done - left) == []
