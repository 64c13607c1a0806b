"""What the pages of docs/ say is so: snippets run, links lead somewhere, generated parts are current."""

import re
from pathlib import Path

import nbformat
import pytest
from docs.generate import with_generated_parts
from mkdocs.commands.build import build
from mkdocs.config import load_config
from nbclient import NotebookClient
from tests.conftest import REPOSITORY
from tests.snippets import commands, fenced_blocks, indented_commands, run_here

from saccade.cli.main import VERBS

DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NOTEBOOK = nbformat.read(DOCS / "notebook.ipynb", as_version=4)


def named(path):
    return path.relative_to(DOCS).as_posix()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def shortened(arguments):
    """As typed, but with less work: two epochs of the first run, on half of the pictures; one run of a series, for one
    epoch, and where the network takes it on smaller pictures.
    """
    if arguments[0] != "train":
        return arguments
    if "--seeds" not in arguments:
        return [*arguments, "--epochs", "2", "--set", "validation=0.5"]
    position = arguments.index("--seeds")
    smaller = ["--set", "end_size=0.5"] if "fast" in arguments else []
    return [*arguments[:position], *arguments[position + 2 :], "--seeds", "1", "--epochs", "1", *smaller]


@pytest.mark.nightly
def test_the_snippets_of_the_tutorial_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    printed: list[str] = []
    for block in fenced_blocks((DOCS / "tutorial.md").read_text(encoding="utf-8")):
        if block.language == "python":
            exec(compile(block.code, "tutorial.md", "exec"), {})
            printed.append(capsys.readouterr().out)
        elif block.language == "sh":
            for arguments in commands(block.code):
                result = run_here(shortened(arguments))
                assert result.exit_code == 0, f"{arguments}: {result.exception}\n{result.output}"
                printed.append(result.output)
    told = "\n".join(printed)
    assert "1,427" in told
    assert "trained on numbers: weights of epoch 2 of 2 kept" in told
    assert re.search(r"new/temple\.jpg: .*unlike the training pictures", told)
    assert "checked in a clean process on 143 validation pictures" in told
    assert {"explore-numbers", "runs", "comparisons", "numbers.keras"} <= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "runs" / "numbers-quick-1" / "report.html").is_file()
    digit, probability = printed[-1].split()
    assert 0 <= int(digit) <= 9
    assert 0.1 < float(probability) <= 1  # the most probable of ten classes


@pytest.mark.nightly  # what it does is done every day by README's session and the tutorial's
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_NOTEBOOK_DATA", "digits")
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in NOTEBOOK.cells), (
        "keep it without outputs"
    )
    client = NotebookClient(nbformat.from_dict(NOTEBOOK), timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    outputs = [output for cell in client.execute().cells if cell.cell_type == "code" for output in cell.outputs]
    told = "\n".join(output.get("text") or str(output.get("data", {}).get("text/plain", "")) for output in outputs)
    drawings = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(drawings) == 5
    assert "train: 1,423 pictures" in told
    assert "8,400,906" in told  # weights, in the summary of the network
    (accuracy,) = re.findall(r"^accuracy (\S+)% \(95% interval .* n = 374\)", told, flags=re.MULTILINE)
    assert float(accuracy) > 50
    assert "unlike the training pictures: True" in told
    assert re.search(r"is better than|not distinguishable", told)
    differences = dict(re.findall(r"(\w+): largest difference of a probability (\S+)", told))
    assert set(differences) == {"HDF5", "weights", "SavedModel"}
    assert all(float(difference) < 1e-5 for difference in differences.values())
    assert {"model.h5", "model.weights.h5", "savedmodel", "runs", "comparison"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_every_verb_has_a_page_and_every_page_its_verb(site):
    assert {path.stem for path in (DOCS / "verbs").glob("*.md")} - {"index"} == set(VERBS)
    for verb in VERBS:
        page = (DOCS / "verbs" / f"{verb}.md").read_text(encoding="utf-8")
        assert f"<!-- generated: options of {verb} -->" in page
        assert {"Commonest uses", "What it writes", "Options", "JSON", "Errors you may meet"} == set(
            re.findall(r"^## (.*)$", page, flags=re.MULTILINE)
        )
        assert (site / "verbs" / f"{verb}.html").is_file()


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_generated_parts_are_current(path):
    page = path.read_text(encoding="utf-8")
    assert with_generated_parts(page) == page, "`make docs` brings it up to date"


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_what_a_page_tells_to_type_is_understood(path):
    """Every `saccade` line names a verb and options that it has; the tutorial's are run as well."""
    import click

    from saccade.cli.main import cli

    for verb, *arguments in indented_commands(path.read_text(encoding="utf-8")):
        if verb == "VERB" or verb.startswith("-"):
            continue
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None, verb
        plain = [argument.partition(">")[0] for argument in arguments]
        command.make_context(verb, [argument for argument in plain if argument], resilient_parsing=False)


@pytest.mark.parametrize("path", [REPOSITORY / "README.md", *PAGES], ids=lambda path: path.name)
def test_relative_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("#"):
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_links_of_the_notebook_lead_somewhere():
    text = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert (DOCS / target).exists(), target


def test_the_recipe_page_has_every_recipe_with_its_result(site):
    from saccade.recipes import ENTRIES

    page = (site / "recipes.html").read_text(encoding="utf-8")
    for name, entry in ENTRIES.items():
        assert f'id="{name}"' in page
        assert entry.measured is None or f"{entry.measured.accuracy:.2%}" in page


def test_the_site_asks_the_network_for_nothing(site):
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
