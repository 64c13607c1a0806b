import json

import pytest
from click.testing import CliRunner
from tests.data.images import class_folder

from saccade.cli.cache import command
from saccade.data.load import load
from saccade.errors import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def filled(tmp_path):
    for name in ("animals", "plants"):
        load(class_folder(tmp_path / name, classes=(f"{name}-a", f"{name}-b"), count=3))


def invoke(*arguments):
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_an_empty_cache(own_cache):
    assert invoke() == f"the cache is empty\n0.0 MB of at most 20,000.0 MB in {own_cache}\n"
    assert invoke("--clear") == "removed 0 entries, 0.0 MB; 0 left\n"


def test_json(filled, own_cache):
    found = json.loads(invoke("--clear", "animals", "--json"))
    assert found["folder"] == str(own_cache)
    assert found["limit"] == 20_000_000_000
    assert {entry["name"] for entry in found["removed"]} == {"animals"}
    (decoded,) = (entry for entry in found["entries"] if entry["kind"] == "decoded")
    assert decoded["name"] == "plants"
    assert decoded["bytes"] > 6 * 32 * 32 * 3
    assert decoded["path"].startswith(str(own_cache))


def test_entries_of_one_dataset_and_one_kind_are_one_row_with_their_number(filled, tmp_path):
    for size in (16, 24):
        load(tmp_path / "animals", image_size=size)
    header, *rows, total = invoke().splitlines()
    assert header.split("  ")[0] == "name"
    cells = [row.split() for row in rows]
    found = {(name, kind): (int(count), float(size)) for name, kind, count, size, *_ in cells}
    assert len(found) == len(rows)
    assert {pair: count for pair, (count, _) in found.items() if pair[1] == "decoded"} == {
        ("animals", "decoded"): 3,  # at its own size and at the two sizes above
        ("plants", "decoded"): 1,
    }
    assert sum(size for _, size in found.values()) == pytest.approx(float(total.split()[0]), abs=0.3)
    entries = json.loads(invoke("--json"))["entries"]
    assert len(entries) == sum(count for count, _ in found.values())
    assert invoke("--clear", "plants").startswith("removed 2 entries, ")


def test_clearing_an_unknown_name_is_an_error(filled):
    with pytest.raises(DataError, match="the cache holds nothing called 'flowers'"):
        invoke("--clear", "flowers")
