"""`saccade serve`: start, end and wrong options."""

import re
import shutil
import signal

import pytest
from click.testing import CliRunner
from tests.snippets import started

import saccade
from saccade.cli.main import cli
from saccade.errors import SaccadeError
from saccade.runs.run import Run


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    return Run.open(shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("served") / "images"))


def test_the_server_prints_its_address_and_ends_by_ctrl_c(run, tiny_folder, tmp_path):
    with started(["serve", str(run.path), "--port", "0"], tmp_path) as (process, printed):
        (url,) = re.findall(r"^serving at (http://127\.0\.0\.1:[0-9]+)$", printed)
        images = sorted((tiny_folder / "test" / "one").iterdir())
        predictions = saccade.Client(url).predict(images)
        assert [prediction.top for prediction in predictions] == [
            prediction.top for prediction in saccade.predict(run, images)
        ]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == ""
        assert process.returncode == 0


@pytest.mark.parametrize("token", ["", "short", "with spaces in the middle of it", "ümläute-sind-nicht-erlaubt"])
def test_an_invalid_token_is_an_error(run, tmp_path, token):
    path = tmp_path / "token"
    with pytest.raises(SaccadeError, match="can't be read"):
        cli(["serve", str(run.path), "--token-file", str(path)], standalone_mode=False)
    path.write_text(token)
    done = CliRunner().invoke(cli, ["serve", str(run.path), "--token-file", str(path), "--port", "0"])
    assert isinstance(done.exception, SaccadeError)
    assert "at least 16 printable ASCII characters" in str(done.exception)


@pytest.mark.parametrize("arguments", [[], ["--port", "70000"], ["--abstain", "1"]])
def test_a_wrong_command_line_has_exit_code_2(run, arguments):
    done = CliRunner().invoke(cli, ["serve", *([str(run.path)] if arguments else []), *arguments])
    assert done.exit_code == 2
