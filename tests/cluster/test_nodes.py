"""Checks of the nodes before the work, the budget of unreadable images, and the size of a shard."""

from typing import Any

import pytest

from saccade.cluster import probe as probe_module
from saccade.cluster.nodes import Needs, Node, check_nodes
from saccade.cluster.ray_data import choose_workers, shard_size
from saccade.cluster.storage import place_of
from saccade.cluster.tally import Tally, parse_budget
from saccade.errors import ClusterError, DataError

_NOTHING: dict[str, Any] = {"files": [], "token": None, "response": None, "packages": probe_module.PACKAGES}


def _node(**changes):
    report = {**probe_module.probe(_NOTHING), **changes.pop("report", {})}
    values = {"node_id": "ab", "address": "10.0.0.7", "cores": 2.0, "memory": 8 * 10**9, "object_store": 200 * 10**6}
    return Node(report=report, **{**values, **changes})


def _check(node):
    check_nodes([node], Needs([], place_of("out.parquet"), probe_module.PACKAGES, 1, 700_000_000, contents=10_000_000))


def test_a_node_like_this_machine_passes():
    _check(_node(report={"memory": 8 * 10**9}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"report": {"source": "0123"}}, "another Saccade of the same version"),
        ({"report": {"missing": [b"/photos/a.jpg"]}}, "can't see the images"),
        ({"report": {"sees_token": False}}, "can't see the folder of"),
        ({"report": {"unwritable": True}}, "can't write"),
        ({"report": {"memory": 10**8}}, "too little memory"),
        ({"memory": 10**8}, "too little memory"),
        ({"object_store": 75 * 10**6}, "object store"),
    ],
)
def test_what_a_node_lacks_is_an_error_that_names_the_node_and_a_remedy(changes, words):
    with pytest.raises(ClusterError, match=words) as error:
        _check(_node(**changes))
    assert "10.0.0.7" in error.value.problem
    assert error.value.remedy


def test_other_versions_are_listed():
    versions = {**probe_module.probe(_NOTHING)["versions"], "onnxruntime": "1.0"}
    with pytest.raises(ClusterError, match="other versions") as error:
        _check(_node(report={"versions": versions}))
    assert error.value.found == "onnxruntime 1.0"


def test_a_training_needs_the_same_tensorflow_and_memory_for_as_many_as_run_at_once():
    needs = Needs([], None, ("keras", "tensorflow"), 1, 10**9, workers=2, worker="training")
    report = probe_module.probe({**_NOTHING, "packages": needs.packages})
    other = {**report, "versions": {**report["versions"], "keras": "3.0"}, "memory": 8 * 10**9}
    with pytest.raises(ClusterError, match="other versions") as error:
        check_nodes([_node(report=other)], needs)
    assert error.value.found == "keras 3.0"
    check_nodes([_node(cores=8.0, memory=2 * 10**9, report={**report, "memory": 8 * 10**9})], needs)
    with pytest.raises(ClusterError, match="too little memory") as error:
        check_nodes([_node(cores=8.0, memory=10**9, report={**report, "memory": 8 * 10**9})], needs)
    assert error.value.expected == "2.0 GB for 2 trainings"


def test_a_file_of_another_size_is_missing(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    path = str(tmp_path / "a").encode()
    assert probe_module.probe({**_NOTHING, "files": [(path, 3)]})["missing"] == []
    assert probe_module.probe({**_NOTHING, "files": [(path, 4), (b"/none", 1)]})["missing"] == [path, b"/none"]


def test_workers_are_as_many_as_the_cores_allow_and_spread_by_free_cores():
    nodes = [_node(), _node(node_id="cd", cores=3.0)]
    assert choose_workers(nodes, 1, None) == [("ab", 2), ("cd", 3)]
    assert choose_workers(nodes, 2, None) == [("ab", 1), ("cd", 1)]
    assert choose_workers(nodes, 1, 2) == [("ab", 1), ("cd", 1)]
    assert choose_workers(nodes, 1, 1) == [("cd", 1)]
    with pytest.raises(ClusterError, match="too few cores"):
        choose_workers(nodes, 1, 6)


def test_a_shard_is_whole_batches_and_every_worker_has_several():
    for total, workers, batch in ((3000, 2, 100), (6000, 2, 2), (7, 1, 100), (10**6, 64, 100)):
        rows = shard_size(total, workers, batch)
        assert rows % batch == 0
        assert rows < 2048 + batch
        assert rows == batch or total / rows > 4 * workers


@pytest.mark.parametrize(("text", "limit"), [("1%", 30), ("0.1%", 3), ("0", 0), ("12", 12), ("100%", 3000)])
def test_a_budget_is_a_share_or_a_number(text, limit):
    assert parse_budget(text, 3000) == limit


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "one"])
def test_other_budgets_are_errors(text):
    with pytest.raises(DataError, match="allowed"):
        parse_budget(text, 3000)


def test_an_image_counts_once_however_often_it_is_computed():
    tally = Tally(2, [0, 1], {1: "truncated"})
    assert tally.add([2, 3], {2: "empty"})
    assert tally.add([2, 3], {2: "empty"})
    assert (tally.count().finished, tally.count().unreadable, tally.count().is_exceeded) == (4, 2, False)
    assert not tally.add([4], {4: "empty"})
    assert tally.count().is_exceeded
