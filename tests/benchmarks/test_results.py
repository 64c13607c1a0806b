"""Results of benchmarks: rows that can be read back, appended all or none."""

import csv
import importlib
from pathlib import Path

import pytest

from saccade.errors import SaccadeError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("results")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_appended_with_machine_and_versions(results, tmp_path):
    path = tmp_path / "results.csv"
    epochs = results.Result("saccade two-phase", "plain epoch", "s", [31.5, 30.25, 33.0], "a note, with a comma")
    results.keep_results("tutorial_speed", [epochs], path)
    results.keep_results("ceiling", [epochs, epochs], path)
    first, *others = read(path)
    assert [row["benchmark"] for row in others] == ["ceiling", "ceiling"]
    assert (first["subject"], first["quantity"], first["unit"]) == ("saccade two-phase", "plain epoch", "s")
    assert (first["n"], first["median"], first["lowest"], first["highest"]) == ("3", "31.5", "30.25", "33")
    assert first["note"] == "a note, with a comma"
    assert all(
        first[column] for column in ("date_utc", "processor", "cores", "saccade", "python", "tensorflow", "keras")
    )


def test_the_results_file_of_the_repository_has_these_columns(results):
    header = (BENCHMARKS / "results.csv").read_text(encoding="utf-8").partition("\n")[0]
    assert header == ",".join(results.COLUMNS)


def test_a_file_with_other_columns_is_not_changed(results, tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(SaccadeError, match="other columns"):
        results.keep_results("ceiling", [results.Result("x", "y", "s", [1.0])], path)
    assert path.read_text() == "a,b\n1,2\n"


def test_the_mean_interval_is_student_t(results):
    low, high = results.Result("x", "y", "s", [1.0, 2.0, 3.0, 4.0, 5.0]).mean_interval()
    half = 2.776445 * (2.5 / 5) ** 0.5  # t-table, 4 degrees of freedom, 97.5%
    assert (low, high) == pytest.approx((3 - half, 3 + half))
