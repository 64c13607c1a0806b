import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from saccade.errors import DataError, RunError
from saccade.output_folders import make_folder, numbered, require_free


def test_free_folders_pass(tmp_path):
    for out in (None, tmp_path, str(tmp_path / "new" / "folder")):
        require_free(out, RunError, plural="runs")


def test_an_occupied_folder_is_rejected_unless_its_files_are_ignored(tmp_path):
    (tmp_path / ".tmp-1-report.json").touch()
    (tmp_path / "study.lock").touch()
    with pytest.raises(DataError, match="exists already; nothing is overwritten") as caught:
        require_free(tmp_path, DataError, plural="audits")
    assert caught.value.remedy == "name another one with --out, or omit --out: audits are then numbered"
    with pytest.raises(RunError, match="exists already"):
        require_free(tmp_path / "study.lock", RunError, plural="runs")
    require_free(tmp_path, DataError, plural="audits", ignored=["study.lock"])


def test_numbered_folders_never_leave_their_parent(tmp_path):
    assert [path.relative_to(tmp_path).parts for path in itertools.islice(numbered(tmp_path, "a/b-", first=2), 2)] == [
        ("a-b-2",),
        ("a-b-3",),
    ]


def test_each_caller_gets_a_folder_of_its_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: make_folder(None, numbered(tmp_path / "runs", "run-"), RunError), range(40)))
    assert {path.name for path in made} == {f"run-{number}" for number in range(1, 41)}


def test_a_folder_that_can_not_be_made_is_reported(tmp_path):
    (tmp_path / "file").touch()
    for out, series in ((tmp_path / "file" / "run", ()), (None, numbered(tmp_path / "file", "run-"))):
        with pytest.raises(RunError, match=r"the directory '.*file.*' can't be made"):
            make_folder(out, series, RunError)
