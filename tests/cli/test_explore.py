import pytest
from click.testing import CliRunner
from tests.data.images import class_folder, write

from saccade.cli.explore import command
from saccade.errors import DataError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = class_folder(tmp_path / "animals", count=6)
    for number in range(12):
        write(root / "dog" / f"broken {number:02}.jpg", b"")
    return root


def invoke(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_the_summary(root):
    result = invoke("animals")
    assert result.exit_code == 0
    assert f"animals ({root})\n2 classes; images are resized to 32 x 32 pixels\n" in result.stdout
    lines = result.stdout.splitlines()
    for name, total in (("cat", 6), ("dog", 6), ("all", 12)):
        (row,) = (line.split() for line in lines if line.startswith(name))
        assert sum(map(int, row[1:])) == total
    assert "formats: PNG 12" in lines
    assert "unreadable files: 12" in lines
    assert "  dog/broken 09.jpg: empty file" in lines
    assert "  and 2 more; --json lists them all" in lines
    assert "dog/broken 10.jpg" not in result.stdout
    assert "note: the data has no test split" in result.stderr
    assert "decoding: 24 of 24 images" in result.stderr


def test_plots_are_written_to_a_new_folder(root, tmp_path):
    for name in ("explore-animals", "explore-animals-2"):
        assert f"written: {name}/samples.png, {name}/classes.png" in invoke("animals").stdout
        assert (tmp_path / name / "samples.png").is_file()
    assert "written: looks/nice/samples.png" in invoke("animals", "--out", "looks/nice").stdout


def test_missing_data_is_an_error(root):
    with pytest.raises(DataError, match="there is no data called 'plants'"):
        invoke("plants")


def test_an_image_size_that_is_not_a_number_is_an_error(root):
    result = invoke("animals", "--image-size", "big")
    assert result.exit_code == 2
    assert "'big' is not a valid integer" in result.stderr
