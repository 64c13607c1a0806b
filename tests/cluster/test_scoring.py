"""Rows of a worker, without Ray: equal to those of the plain command, whatever the blocks are."""

import shutil

import pytest

import saccade
from saccade.cluster.listing import list_images
from saccade.cluster.networks import ClassifierFactory, read_model
from saccade.cluster.scoring import BlockScorer
from saccade.errors import ClusterError

pyarrow = pytest.importorskip("pyarrow")


@pytest.fixture
def mixed(tiny_folder, tmp_path):
    """Folder of 60 images and two unreadable files."""
    shutil.copytree(tiny_folder / "test", tmp_path / "mixed")
    (tmp_path / "mixed/a.jpg").write_text("not an image")
    (tmp_path / "mixed/one/cut.png").write_bytes((tiny_folder / "test/one/40.png").read_bytes()[:60])
    return tmp_path / "mixed"


def _rows(run, table, *, sizes, top=3, threshold=0.0):
    model = read_model(run.path)
    scorer = BlockScorer(ClassifierFactory(model.name, top, threshold).open(model.contents, 1), 1)
    rows, start = [], 0
    for size in sizes:
        rows += scorer(table.slice(start, size)).to_pylist()
        start += size
    scorer.close()
    return rows


def test_rows_are_the_predictions_of_the_plain_command_to_the_bit(tiny_run, mixed):
    predictions = saccade.predict(tiny_run, mixed)
    rows = _rows(tiny_run, list_images([str(mixed)]).to_table(), sizes=[62])

    assert [row["name"] for row in rows] == [one.name for one in predictions]
    assert [row["unreadable_reason"] for row in rows] == [one.unreadable_reason for one in predictions]
    assert sum(row["unreadable_reason"] is not None for row in rows) == 2
    for row, one in zip(rows, predictions, strict=True):
        assert [(each["class_name"], each["probability"]) for each in row["top"]] == [
            (each.class_name, each.probability) for each in one.top
        ]


def test_rows_do_not_depend_on_the_blocks(tiny_run, mixed):
    table = list_images([str(mixed)]).to_table()
    assert _rows(tiny_run, table, sizes=[62]) == _rows(tiny_run, table, sizes=[1, 30, 7, 24])


def test_confidence_below_the_threshold_is_abstained(tiny_run, mixed):
    rows = _rows(tiny_run, list_images([str(mixed)]).to_table(), sizes=[62], top=1, threshold=0.9)
    readable = [row for row in rows if row["unreadable_reason"] is None]
    assert [row["abstained"] for row in readable] == [row["top"][0]["probability"] < 0.9 for row in readable]
    assert not any(row["abstained"] for row in rows if row["unreadable_reason"])


def test_a_run_without_its_onnx_file_is_an_error_with_a_remedy(run_copy):
    (run_copy.path / "model.onnx").unlink()
    with pytest.raises(ClusterError, match="has no model") as error:
        read_model(run_copy.path)
    assert "saccade export" in str(error.value.remedy)
