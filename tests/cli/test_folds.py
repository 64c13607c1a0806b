import pytest
from click.testing import CliRunner

from saccade.cli.main import cli


@pytest.mark.parametrize(
    "arguments",
    ["--folds 1", "--folds 21", "--folds 2 --seeds 2", "--folds 2 --resume RUN", "--folds 2 --extend RUN",
     "--folds 2 --summary"],
)  # fmt: skip
def test_a_wrong_command_line_has_exit_code_2(arguments, tmp_path):
    assert CliRunner().invoke(cli, ["train", str(tmp_path), *arguments.split()]).exit_code == 2
