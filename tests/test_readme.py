"""Every command line and the Python example of README run."""

import re
import shlex

import pytest
from tests.conftest import REPOSITORY
from tests.documented import lay, not_run, parse, typed
from tests.snippets import command_lines, fenced_blocks

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
LINES = command_lines(README)


@pytest.fixture(scope="module")
def desk(photo_run, tiny_run, tmp_path_factory):
    """Return a folder with the data, images and runs that README names."""
    folder = tmp_path_factory.mktemp("readme")
    lay(folder, photo_run, tiny_run, runs=["RUN", "runs/cifar10-jpeg-fast-1"])
    return folder


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_is_one(line):
    """`make test-long` also runs the lines."""
    parse(shlex.split(line))


@pytest.mark.long
@pytest.mark.parametrize("line", LINES)
def test_every_command_line_runs_in_the_order_of_the_text(line, desk):
    words = shlex.split(line)
    if not_run(words):
        parse(words)
        return
    done = typed(words, desk)
    assert done.code == 0, done.shown
    assert "Traceback" not in done.shown


@pytest.mark.long
def test_the_first_session_creates_the_files_that_readme_names(desk):
    """Run after the tests of the command lines."""
    session = command_lines(README.partition("## A first session")[2].partition("Or in Python")[0])
    command_names = [line.split()[0] for line in session]
    assert command_names == ["explore", "train", "evaluate", "report", "predict", "export", "serve"]
    explored = {path.name for path in (desk / "explore-photos").iterdir()}
    assert explored == {"samples.png", "classes.png", ".saccade"}  # .saccade marks the folder as Saccade's own
    made = {"confusion_matrix.png", "predictions.png", "report.html", "README.md", "split.csv", "model.keras"}
    first = desk / "runs/photos-photo-1"
    assert made <= {path.name for path in first.iterdir()}


@pytest.mark.long
def test_the_python_example(desk, monkeypatch, capsys):
    monkeypatch.chdir(desk)
    (example,) = [block.code for block in fenced_blocks(README) if block.language == "python"]
    exec(compile(example, "README.md", "exec"), {})
    assert re.search(r"^new\.jpg ClassProbability\(class_name=", capsys.readouterr().out, flags=re.MULTILINE)
    assert (desk / "model.keras").is_file()


def test_the_table_of_recipes_is_the_measured_one():
    from saccade.recipes import REGISTRY

    for name, entry in REGISTRY.items():
        if entry.measured is not None:
            low, high = entry.measured.interval
            row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` "))
            assert f"{entry.measured.accuracy:.2%} ({low:.2%} to {high:.2%})" in row
            assert f"{entry.measured.seconds_per_epoch:.0f} s" in row
            assert f"{entry.measured.peak_memory_mb:,} MB" in row
