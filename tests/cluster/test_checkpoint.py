"""Progress of a prediction on a cluster: every state that a kill can leave ends in one row for each image."""

import numpy as np
import pytest

from saccade.cluster.checkpoint import Checkpoint
from saccade.cluster.listing import ListedImage, Listing
from saccade.cluster.storage import place_of
from saccade.errors import ClusterError, DataError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

_LISTING = Listing([ListedImage(f"{i}.png", "", f"/{i}.png") for i in range(6)])
_REQUEST = {"network": "a", "threads": 1}


@pytest.fixture
def begun(tmp_path):
    checkpoint = Checkpoint(place_of(str(tmp_path / "out.parquet")))
    assert not checkpoint.begin(_REQUEST, _LISTING.to_table())
    return checkpoint


def _write_rows(checkpoint, name, ids, reason=None):
    table = {"id": pyarrow.array(ids, pyarrow.int64()), "unreadable_reason": pyarrow.array([reason] * len(ids), "str")}
    parquet.write_table(pyarrow.table(table), f"{checkpoint.out.path}/{name}-0.parquet")


def _write_ids(checkpoint, name, ids, *, pending=False):
    suffix = ".pending.parquet" if pending else ".parquet"
    parquet.write_table(pyarrow.table({"id": ids}), f"{checkpoint.rows.path}/{name}{suffix}")


def test_finished_rows_are_those_with_committed_ids(begun):
    _write_rows(begun, "a_000000", [0, 1], "truncated")
    _write_ids(begun, "a_000000", [0, 1])
    _write_rows(begun, "a_000001", [2, 3])
    _write_ids(begun, "a_000001", [2, 3], pending=True)

    begun.mend()

    assert begun.done().ids.tolist() == [0, 1]
    assert begun.done().unreadable == {0: "truncated", 1: "truncated"}


def test_ids_that_are_committed_and_pending_at_once_are_computed_again(begun):
    """A task that is repeated after its renaming, or a renaming in object storage that only copied."""
    _write_rows(begun, "a_000000", [0, 1])
    _write_ids(begun, "a_000000", [0, 1])
    _write_ids(begun, "a_000000", [0, 1], pending=True)

    begun.mend()

    assert begun.done().ids.tolist() == []
    assert [path.name for path in _files(begun.rows)] == ["a_000000.pending.parquet"]  # with which Ray removes the rows


def test_ids_without_rows_and_rows_without_ids_are_removed(begun):
    _write_ids(begun, "a_000000", [0, 1])
    _write_rows(begun, "a_000001", [2, 3])

    begun.mend()

    assert not _files(begun.rows)
    assert not _files(begun.out)


def test_the_end_requires_one_row_for_each_image(begun):
    _write_rows(begun, "a_000000", range(5))
    _write_ids(begun, "a_000000", range(5))
    with pytest.raises(ClusterError, match="not complete") as error:
        begun.finish(6)
    assert error.value.found == "1 missing, 0 repeated"

    for name in ("b_000000", "b_000001"):
        _write_rows(begun, name, [5])
        _write_ids(begun, name, [5])
    with pytest.raises(ClusterError, match="not complete") as error:
        begun.finish(6)
    assert error.value.found == "0 missing, 1 repeated"


def test_the_end_removes_the_progress_and_what_a_late_task_left(begun):
    _write_rows(begun, "a_000000", range(6))
    _write_ids(begun, "a_000000", range(6))
    _write_rows(begun, "late_000000", [0, 1])
    _write_ids(begun, "late_000000", [0, 1], pending=True)

    done = begun.finish(6)

    assert sorted(done.ids) == list(range(6))
    assert [path.name for path in _files(begun.out)] == ["a_000000-0.parquet"]
    assert not _files(begun.folder)


def test_the_same_command_continues_and_another_one_is_an_error(begun):
    again = Checkpoint(begun.out)
    assert again.begin(_REQUEST, _LISTING.to_table())
    with pytest.raises(DataError, match="other settings") as error:
        again.begin({**_REQUEST, "threads": 2}, _LISTING.to_table())
    assert (error.value.expected, error.value.found) == ("threads 1", "threads 2")


def test_results_without_progress_are_not_overwritten(begun):
    _write_rows(begun, "a_000000", range(6))
    begun.remove()
    with pytest.raises(DataError, match="exists already"):
        begun.begin(_REQUEST, _LISTING.to_table())


def test_a_second_command_on_the_same_results_is_an_error(begun):
    with begun.locked(), pytest.raises(DataError, match="another command"), Checkpoint(begun.out).locked():
        pass


def test_a_listing_differs_by_the_name_the_place_and_the_label_of_each_image():
    image = ListedImage("a", "", "/a", "cat")
    others = [
        image._replace(name="b"),
        image._replace(path="/b"),
        image._replace(scheme="s3"),
        image._replace(label=""),
    ]
    fingerprints = {Listing([each]).fingerprint for each in (image, *others)}
    assert len(fingerprints) == 5
    assert np.array_equal(_LISTING.to_table()["id"], np.arange(6))


def _files(place):
    from pathlib import Path

    return sorted(path for path in Path(place.path).rglob("*") if path.is_file())
