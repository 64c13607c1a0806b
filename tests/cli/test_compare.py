from click.testing import CliRunner

from saccade.cli.main import cli


def test_a_single_run_is_a_wrong_command_line(tmp_path):
    result = CliRunner().invoke(cli, ["compare", str(tmp_path)])
    assert result.exit_code == 2
    assert "at least two runs" in result.stderr
