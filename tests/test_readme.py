"""What the README tells its reader to type works as it stands."""

import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image
from tests.snippets import fenced_blocks, indented_commands, run_alone, run_python, started

import saccade

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def desk(tiny_folder, tmp_path):
    """A folder as the README imagines it: photos/, new.jpg and more-pictures/."""
    shutil.copytree(tiny_folder, tmp_path / "photos")
    (tmp_path / "more-pictures").mkdir()
    for name in ("new.jpg", "more-pictures/a.jpg", "more-pictures/b.jpg"):
        Image.open(tiny_folder / "test" / "one" / "40.png").save(tmp_path / name)
    return tmp_path


def test_the_first_session(desk):
    commands = indented_commands(README.partition("## A first session")[2].partition("Or in Python")[0])
    *to_the_end, serve = commands
    verbs = [command[0] for command in commands]
    assert verbs == ["explore", "train", "evaluate", "report", "predict", "export", "serve"]
    for command in to_the_end:
        done = run_alone(command, desk)
        assert done.returncode == 0, done.stderr
    assert {"samples.png", "classes.png"} == {path.name for path in (desk / "explore-photos").iterdir()}
    assert {"confusion_matrix.png", "report.html"} <= {path.name for path in (desk / "runs/photos-fast-1").iterdir()}
    with started([*serve, "--port", "0"], desk) as (process, said):  # 8000 may be taken on this machine
        answer = saccade.Client(said.removeprefix("serving at ")).predict(desk / "new.jpg")
        assert answer[0].top
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_the_python_example(desk):
    (example,) = [block.code for block in fenced_blocks(README) if block.language == "python"]
    done = run_python(example, desk)
    assert done.returncode == 0, done.stderr
    assert "new.jpg ClassProbability(class_name=" in done.stdout
    assert (desk / "model.keras").is_file()


def test_the_table_of_recipes_is_the_measured_one():
    from saccade.recipes import CATALOGUE

    for name, entry in CATALOGUE.items():
        if entry.measured is not None:
            low, high = entry.measured.interval
            row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` "))
            assert f"{entry.measured.accuracy:.2%} ({low:.2%} to {high:.2%})" in row
            assert f"{entry.measured.seconds_per_epoch:.0f} s" in row
            assert f"{entry.measured.peak_memory_mb:,} MB" in row
