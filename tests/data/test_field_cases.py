"""Folders, archives and label files as people have them, each read by a command line.

The inputs are the shared field cases, which come from public bug reports about tools of this kind. A data set without a
test split gets one from its training images, so the table counts these as training images.
"""

import csv
import shlex
from pathlib import Path

import pytest
from tests.snippets import run_here

TABLE = Path(__file__).with_name("field_cases.csv")
with TABLE.open(encoding="utf-8", newline="") as file:
    CASES = list(csv.DictReader(file))


def split_counts(text):
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['case']} {case['options']}".strip())
def test_each_case_is_read_as_in_the_table_or_refused_with_its_error(case, field_cases, tmp_path):
    options = shlex.split(case["options"])
    done = run_here(["train", str(field_cases / case["case"]), "--dry-run", "--json", *options], tmp_path)
    assert "Traceback" not in done.shown
    assert not list(tmp_path.iterdir())  # nothing is trained and nothing written
    if case["error"]:
        assert done.code == 1
        assert case["error"] in done.stderr
        assert "remove" not in done.stderr  # a remedy destroys nothing
        return
    assert done.code == 0, done.stderr
    (read_as,) = [line for line in done.stderr.splitlines() if line.startswith("read as: ")]
    assert case["note"] in done.stderr
    found = done.json
    assert " ".join(found["class_names"]) == case["classes"]
    assert ", ".join(case["classes"].split()[:10]) in read_as
    wanted = split_counts(case["counts"])
    counts = {split: sum(classes.values()) for split, classes in found["counts"].items()}
    if "test" not in wanted:
        counts["train"] += counts.pop("test")
        assert ", chosen by Saccade" in read_as
    assert counts == wanted
    assert found["unreadable"] == []
