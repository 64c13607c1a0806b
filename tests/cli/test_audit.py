import json

import pytest
from click.testing import CliRunner
from tests.auditing.broken_folders import exact_leak, sound

from saccade.cli.audit import command
from saccade.errors import DataError, DataNotFoundError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = sound(tmp_path / "pets")
    exact_leak(root)
    return root


def invoke(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_findings_are_printed_with_a_fix_and_written_to_a_new_directory(root, tmp_path):
    for number in (1, 2):
        out = invoke("pets", "--folds", 0).stdout
        assert "error: leak: 1 group of identical files in more than one split" in out
        assert "  test/cat/copy.png (cat) = train/cat/000.png (cat)\n  fix: " in out
        assert f"written: audits/pets-{number}/audit.json, audits/pets-{number}/audit.html" in out
    kept = json.loads((tmp_path / "audits/pets-1/audit.json").read_text())
    assert [finding["kind"] for finding in kept["findings"]] == ["leak"]


def test_an_error_overwrites_and_creates_nothing(root):
    with pytest.raises(DataError, match="exists already; nothing is overwritten"):
        invoke("pets", "--folds", 0, "--out", root)
    with pytest.raises(DataNotFoundError):
        invoke("plants", "--folds", 0)
    with pytest.raises(DataError, match="into 1 folds"):
        invoke("pets", "--folds", 1)
    assert not (root.parent / "audits").exists()
