import csv
import io
import json

import pytest
from click.testing import CliRunner

from saccade.cli.main import cli


def predict(run, *arguments):
    return CliRunner().invoke(cli, ["predict", str(run.path), *map(str, arguments)])


@pytest.fixture
def picture(tiny_folder):
    return tiny_folder / "test" / "one" / "40.png"


def test_the_exit_code_tells_of_refusals(tiny_run, picture, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    result = predict(tiny_run, picture, broken)
    assert result.exit_code == 1
    assert f"{broken}: refused: " in result.stdout
    assert "1 of 2 pictures could not be read" in result.stderr


def test_json_and_csv_hold_the_same(tiny_run, picture, tmp_path):
    missing = tmp_path / "missing.png"
    as_json = json.loads(predict(tiny_run, "--json", "--top", 2, picture, missing).stdout)
    rows = list(csv.DictReader(io.StringIO(predict(tiny_run, "--csv", "--top", 2, picture, missing).stdout)))
    assert [row["picture"] for row in rows] == [one["name"] for one in as_json] == [str(picture), str(missing)]
    assert rows[0]["class_2"] == as_json[0]["top"][1]["class_name"]
    assert float(rows[0]["probability_1"]) == pytest.approx(as_json[0]["top"][0]["probability"], abs=1e-6)
    assert rows[1]["class_1"] == ""
    assert rows[1]["refusal"] == as_json[1]["refusal"] != ""


def test_json_and_csv_together_are_a_wrong_command_line(tiny_run, picture):
    assert predict(tiny_run, "--json", "--csv", picture).exit_code == 2


def test_one_picture_is_no_pictures(tiny_run, tmp_path):
    assert "1 of 1 picture could not be read" in predict(tiny_run, tmp_path / "missing.png").stderr


def test_what_is_no_run_is_said_plainly(tmp_path, picture):
    import subprocess
    import sys

    result = subprocess.run(
        [sys.executable, "-m", "saccade", "predict", str(tmp_path), str(picture)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "is not a run" in result.stderr
