"""Pages of docs/: snippets run, links have targets, generated sections are current, named files exist."""

import re
import shlex
from pathlib import Path

import nbformat
import pytest
from docs.generate import with_generated_sections
from mkdocs.commands.build import build
from mkdocs.config import load_config
from nbclient import NotebookClient
from tests.conftest import REPOSITORY
from tests.documented import lay, not_run, parse, typed
from tests.snippets import command_lines, fenced_blocks

from saccade.cli.main import COMMANDS

DOCS = REPOSITORY / "docs"
SOURCE = REPOSITORY / "src" / "saccade"
PAGES = sorted(DOCS.rglob("*.md"))
NOTEBOOK = nbformat.read(DOCS / "notebook.ipynb", as_version=4)


def named(path):
    return path.relative_to(DOCS).as_posix()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as `make docs` does and return its folder."""
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


@pytest.mark.long
def test_the_tutorial_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    printed: dict[str, str] = {}
    for block in fenced_blocks(page):
        if block.language == "python":
            exec(compile(block.code, "tutorial.md", "exec"), {})
            printed[block.code] = capsys.readouterr().out
        for line in command_lines(block.code) if block.language == "sh" else []:
            printed[line] = run(line, tmp_path).shown
    for line in command_lines(page):  # lines in sentences
        if line not in printed:
            run(line, tmp_path)
    assert re.search(r"^all +1,427 +370$", printed["explore numbers"], flags=re.MULTILINE)
    (predicted,) = (shown for line, shown in printed.items() if line.startswith("predict "))
    for name in ("numbers:test:318", "new/temple.jpg"):
        assert re.search(rf"^{name}: .*OOD p-value \d\.\d\d\d", predicted, flags=re.MULTILINE)
    assert {"explore-numbers", "runs", "comparisons", "numbers.keras"} <= {path.name for path in tmp_path.iterdir()}
    digit, probability = list(printed.values())[-1].split()
    assert 0 <= int(digit) <= 9
    assert 0.1 < float(probability) <= 1  # the most probable of ten classes


def run(line, folder):
    """Run a command line and check that there is no error."""
    done = typed(shlex.split(line), folder)
    assert done.code == 0, f"saccade {line}\n{done.shown}"
    assert "Traceback" not in done.shown
    return done


@pytest.fixture(scope="module")
def desk(photo_run, tiny_run, tmp_path_factory):
    """Return a folder with the data, images and runs that the pages name, without results of README and tutorial."""
    folder = tmp_path_factory.mktemp("docs")
    photos = ("photos-photo-1", "photos-photo-2", "birds-photo-1", "birds-photo-2")
    runs = (*photos, "photos-folder-1", "photos-fast-1", "fast/seed-0", "quick/seed-0")
    lay(folder, photo_run, tiny_run, runs=["RUN", "SOURCE", *(f"runs/{name}" for name in runs)])
    for name, exported in (("photos", "runs/photos-photo-1"), ("model", "RUN")):
        run(f"export {exported} --format onnx --out {name}.onnx", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SACCADE_CACHE", str(tmp_path_factory.mktemp("docs-cache")))
        yield folder


def elsewhere():
    """Return the distinct command lines of all pages that are neither in README nor in the tutorial."""
    typed_already = {line for path in (REPOSITORY / "README.md", DOCS / "tutorial.md") for line in lines_of(path)}
    return [line for path in PAGES for line in lines_of(path) if line not in typed_already]


def lines_of(path):
    return command_lines(path.read_text(encoding="utf-8"))


@pytest.mark.long
@pytest.mark.parametrize("line", list(dict.fromkeys(elsewhere())))
def test_every_other_command_line_of_the_pages_runs(line, desk):
    if not not_run(shlex.split(line)):
        run(line, desk)


@pytest.mark.nightly  # the sessions of README and tutorial cover the same commands every day
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_NOTEBOOK_DATA", "digits")
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in NOTEBOOK.cells), (
        "keep it without outputs"
    )
    client = NotebookClient(nbformat.from_dict(NOTEBOOK), timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    outputs = [output for cell in client.execute().cells if cell.cell_type == "code" for output in cell.outputs]
    text = "\n".join(output.get("text") or str(output.get("data", {}).get("text/plain", "")) for output in outputs)
    plots = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(plots) == 5
    assert "train: 1,423 images" in text
    assert "8,400,906" in text  # weights, in the summary of the network
    (accuracy,) = re.findall(r"^accuracy (\S+)% \(95% interval .* n = 374\)", text, flags=re.MULTILINE)
    assert float(accuracy) > 50
    assert "out of distribution: True" in text
    assert re.search(r"is better than|not distinguishable", text)
    differences = dict(re.findall(r"(\w+): largest difference of a probability (\S+)", text))
    assert set(differences) == {"HDF5", "weights", "SavedModel"}
    assert all(float(difference) < 1e-5 for difference in differences.values())
    assert {"model.h5", "model.weights.h5", "savedmodel", "runs", "comparison"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_every_command_has_a_page_and_every_page_its_command():
    assert {path.stem for path in (DOCS / "commands").glob("*.md")} - {"index"} == set(COMMANDS)
    for command_name in COMMANDS:
        page = (DOCS / "commands" / f"{command_name}.md").read_text(encoding="utf-8")
        assert f"<!-- generated: options of {command_name} -->" in page
        assert {"Common uses", "What it writes", "Options", "JSON", "Errors you may meet"} == set(
            re.findall(r"^## (.*)$", page, flags=re.MULTILINE)
        )


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_generated_sections_are_current(path):
    page = path.read_text(encoding="utf-8")
    assert with_generated_sections(page) == page, "`make docs` updates it"


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_command_lines_of_a_page_are_valid(path):
    """`make test-long` also runs the lines."""
    for line in lines_of(path):
        parse(shlex.split(line))


@pytest.mark.parametrize("path", [REPOSITORY / "README.md", *PAGES], ids=lambda path: path.name)
def test_relative_links_have_targets(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("#"):
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_files_that_the_architecture_names_exist():
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| `(\w+/)`.*\| ([^|]+) \|$", flags=re.MULTILINE)
    table = row.findall(page)
    first_files = {f"{package}{name}" for package, names in table for name in re.findall(r"`([\w/]+\.py)`", names)}
    named_files = re.findall(r"`(\w+/(?:[\w/.-]+\.(?:py|html|md|csv)|(?:\w+/)*))`", row.sub("", page))
    assert table
    for name in first_files | set(named_files):
        assert (SOURCE / name).exists() or (REPOSITORY / name).exists(), name


def test_the_architecture_names_every_package():
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}/`" not in page} == set()


def test_links_of_the_notebook_have_targets():
    text = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert (DOCS / target).exists(), target


@pytest.mark.long
def test_the_site_has_a_page_for_every_command(site):
    for command_name in COMMANDS:
        assert (site / "commands" / f"{command_name}.html").is_file()


@pytest.mark.long
def test_the_recipe_page_has_every_recipe_with_its_result(site):
    from saccade.recipes import ENTRIES

    page = (site / "recipes.html").read_text(encoding="utf-8")
    for name, entry in ENTRIES.items():
        assert f'id="{name}"' in page
        assert entry.measured is None or f"{entry.measured.accuracy:.2%}" in page


@pytest.mark.long
def test_the_site_loads_nothing_from_the_network(site):
    loaded = [
        (path.name, found)
        for path in site.rglob("*.html")
        for found in re.findall(
            r"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*",
            path.read_text(encoding="utf-8"),
        )
    ]
    styles = [
        path.name for path in site.rglob("*.css") if re.search(r"url\(['\"]?(https?:)?//", path.read_text("utf-8"))
    ]
    assert not loaded
    assert not styles


def test_every_page_is_in_the_menu():
    menu = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    assert all(f": {named(path)}\n" in menu for path in PAGES)
    assert Path(DOCS / "index.md") in PAGES
