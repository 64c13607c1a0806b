import pytest
from click.testing import CliRunner

from saccade.cli.main import cli


@pytest.mark.parametrize("arguments", ["--sizes 10,all", "--repeats 1", "--recipe", "--set epochs", "--folds 2"])
def test_a_wrong_command_line_has_exit_code_2(arguments, tmp_path):
    assert CliRunner().invoke(cli, ["learning-curve", str(tmp_path), *arguments.split()]).exit_code == 2
