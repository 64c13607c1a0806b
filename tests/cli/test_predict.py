import csv
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from saccade.cli.main import cli


def predict(run, *arguments):
    return CliRunner().invoke(cli, ["predict", str(run.path), *map(str, arguments)])


@pytest.fixture
def image(tiny_folder):
    return tiny_folder / "test" / "one" / "40.png"


def test_the_exit_code_reports_unreadable_files(tiny_run, image, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    result = predict(tiny_run, image, broken)
    assert result.exit_code == 1
    assert f"{broken}: unreadable: " in result.stdout
    assert "1 of 2 images could not be read" in result.stderr


def test_json_and_csv_contain_the_same_predictions(tiny_run, image, tmp_path):
    missing = tmp_path / "missing.png"
    as_json = json.loads(predict(tiny_run, "--json", "--top", 2, image, missing).stdout)
    rows = list(csv.DictReader(io.StringIO(predict(tiny_run, "--csv", "--top", 2, image, missing).stdout)))
    assert [row["image"] for row in rows] == [one["name"] for one in as_json] == [str(image), str(missing)]
    assert rows[0]["class_2"] == as_json[0]["top"][1]["class_name"]
    assert float(rows[0]["probability_1"]) == pytest.approx(as_json[0]["top"][0]["probability"], abs=1e-6)
    assert rows[1]["class_1"] == ""
    assert rows[1]["unreadable_reason"] == as_json[1]["unreadable_reason"] != ""


def test_json_and_csv_together_are_a_wrong_command_line(tiny_run, image):
    assert predict(tiny_run, "--json", "--csv", image).exit_code == 2


def test_with_too_few_validation_images_ood_says_that_it_marks_nothing(tiny_run, image, tmp_path):
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(noise)
    result = predict(tiny_run, "--ood", "--json", image, noise)
    assert tiny_run.data.num_images["validation"] == 12
    assert "note: --ood can't mark any image: the run has 12 validation images, so that no p-value is below 0.077" in (
        result.stderr
    )
    assert "at least 20 validation images are needed" in result.stderr
    assert json.loads(result.stdout)[1]["ood_p_value"] == pytest.approx(1 / 13)
    assert "--ood" not in predict(tiny_run, image, noise).stderr


@pytest.mark.parametrize(("num_images", "noted"), [(19, True), (20, False)])
def test_twenty_validation_images_can_mark_an_image(run_copy, image, num_images, noted):
    arrays = run_copy.ood_statistics()
    ranked = {name: np.linspace(0, 1e-3, num_images, dtype=np.float32) for name in ("distances", "doubts", "surprises")}
    run_copy.write_ood_statistics(arrays | ranked)
    result = predict(run_copy, "--ood", "--csv", image)  # more unusual than all images that it is ranked among
    assert ("note: --ood can't mark" in result.stderr) == noted
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert (float(row["ood_p_value"]) < 0.05) != noted


def test_the_message_about_one_image_is_singular(tiny_run, tmp_path):
    assert "1 of 1 image could not be read" in predict(tiny_run, tmp_path / "missing.png").stderr


def test_a_directory_that_is_not_a_run_is_an_error(tmp_path, image):
    import subprocess
    import sys

    result = subprocess.run(
        [sys.executable, "-m", "saccade", "predict", str(tmp_path), str(image)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "is not a run" in result.stderr
