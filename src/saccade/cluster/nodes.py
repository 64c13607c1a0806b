"""Nodes of a Ray cluster, and the checks of them before any work: versions, visible paths, memory."""

from __future__ import annotations

import math
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.cluster import probe as probe_module
from saccade.cluster.connection import reason_of_ray
from saccade.cluster.listing import ListedImage
from saccade.cluster.storage import NO_BUCKET, Place, access_problem
from saccade.errors import ClusterError, DataError
from saccade.sanitize import counted, printable

_TIMEOUT = 120.0  # seconds
_STORE_BYTES = 64_000_000  # for listing and rows, besides the network


@dataclass(frozen=True)
class Node:
    """A node of a cluster.

    Attributes:
        node_id: id of Ray, hexadecimal.
        address: address, with the beginning of the id where several nodes have one address.
        cores: number of cores that Ray may use.
        memory: memory that Ray may use, in bytes.
        object_store: size of the object store, in bytes.
        report: response of `probe`.
    """

    node_id: str
    address: str
    cores: float
    memory: int
    object_store: int
    report: dict[str, Any]

    def workers(self, threads: int) -> int:
        """Return the number of workers of some threads that fit this node's cores."""
        return math.floor(self.cores / threads)

    def to_dict(self) -> dict[str, Any]:
        """Return the node as JSON, without its object store."""
        return {
            "address": self.address,
            "cores": self.cores,
            "memory": self.memory,
            "versions": self.report["versions"],
            "source": self.report["source"],
        }


@dataclass(frozen=True)
class Needs:
    """What every node needs for the work.

    Attributes:
        images: images of which each node must see the files, and other files.
        out: place of the results, beside which each node must be able to write; None where nothing is written.
        packages: packages whose versions all nodes must share, besides Python, Saccade and Ray.
        threads: number of threads of a worker.
        workers: largest number of workers on one node; None: as many as its cores allow.
        worker_bytes: memory of a worker, in bytes.
        contents: size of the network's file, in bytes, which the object store holds.
        worker: noun for a worker.
    """

    images: Sequence[ListedImage]
    out: Place | None
    packages: Sequence[str]
    threads: int
    worker_bytes: int
    workers: int | None = None
    contents: int = 0
    worker: str = "worker"

    def on(self, node: Node) -> int:
        """Return the number of workers on a node."""
        fitting = node.workers(self.threads)
        return fitting if self.workers is None else min(fitting, self.workers)


def usable_nodes(ray: Any, needs: Needs) -> list[Node]:
    """Return all nodes, after a check that each of them can do the work.

    Raises:
        ClusterError, DataError: as for `inspect_nodes`, `check_nodes` and `check_access`.
    """
    nodes = inspect_nodes(ray, needs)
    check_nodes(nodes, needs)
    check_access(ray, nodes, needs)
    return nodes


def inspect_nodes(ray: Any, needs: Needs) -> list[Node]:
    """Ask every node what it has and sees. A file is written beside `needs.out`, read by each node, and removed.

    Raises:
        ClusterError: a node does not respond.
        DataError: this machine can't write beside `needs.out`.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    question: dict[str, Any] = _question(_sizes(needs.images), needs.packages)
    out = needs.out
    folder = None if out is None or out.is_remote else Path(out.path).parent
    made: list[Path] = []
    new_folders: list[Path] = []
    try:
        if folder is not None:
            new_folders = [each for each in (folder, *folder.parents) if not each.exists()]
            token = uuid.uuid4().hex
            made = [folder / f".tmp-{token}", *(folder / f".tmp-{token}-{node['NodeID']}" for node in alive)]
            try:
                folder.mkdir(parents=True, exist_ok=True)
                made[0].write_text(token, encoding="utf-8")
            except OSError as error:
                raise _unwritable(out, error) from None
            question["token"] = (str(made[0]), token)
        responses: list[tuple[str, str] | None] = [(str(path), "") for path in made[1:]]
        responses = responses or [None] * len(alive)
        return _ask(ray, alive, [{**question, "response": response} for response in responses])
    finally:
        for path in made:
            with suppress(OSError):
                path.unlink()
        for path in new_folders:  # the innermost first
            with suppress(OSError):
                path.rmdir()


def _unwritable(out: Place | None, error: OSError) -> DataError:
    return DataError(
        f"'{printable(out.text if out is not None else '')}' can't be written",
        expected="a path where this machine and all nodes can write", found=printable(error.strerror or str(error)),
        remedy="name another path with --out",
    )  # fmt: skip


def _question(files: Sequence[tuple[bytes, int]], packages: Sequence[str]) -> dict[str, Any]:
    return {"files": files, "token": None, "response": None, "packages": packages}


def _sizes(images: Iterable[ListedImage]) -> list[tuple[bytes, int]]:
    """Return the files that the driver sees, with their sizes."""
    sizes = []
    for image in images:
        if not image.scheme:
            with suppress(OSError, ValueError):
                sizes.append((os.fsencode(image.path), os.stat(image.path).st_size))  # noqa: PTH116 - may be no text
    return sizes


def _ask(ray: Any, alive: Sequence[dict[str, Any]], questions: Sequence[dict[str, Any]]) -> list[Node]:
    addresses = Counter(node["NodeManagerAddress"] for node in alive)
    names = [
        node["NodeManagerAddress"] + (f" ({node['NodeID'][:8]})" if addresses[node["NodeManagerAddress"]] > 1 else "")
        for node in alive
    ]
    responses = run_on_nodes(
        ray, [(node["NodeID"], name) for node, name in zip(alive, names, strict=True)], probe_module.probe, questions
    )
    return [
        Node(
            node["NodeID"],
            name,
            node["Resources"].get("CPU", 0.0),
            int(node["Resources"].get("memory", 0)),
            int(node["Resources"].get("object_store_memory", 0)),
            response,
        )
        for node, name, response in zip(alive, names, responses, strict=True)
    ]


def run_on_nodes(
    ray: Any, nodes: Sequence[tuple[str, str]], function: Callable[[Any], Any], arguments: Sequence[Any]
) -> list[Any]:
    """Run a function once on each node. A function of the module `probe` needs no Saccade there.

    Args:
        ray: the module, connected.
        nodes: id and name of each node.
        function: the function.
        arguments: its argument for each node.

    Raises:
        ClusterError: a node does not respond, or the function fails there.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # By value: a node may have no module of this name, or another one.
    ray.cloudpickle.register_pickle_by_value(probe_module)
    try:
        remote = ray.remote(function)
        running = [
            remote.options(
                num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)
            ).remote(argument)
            for (node_id, _), argument in zip(nodes, arguments, strict=True)
        ]
    finally:
        ray.cloudpickle.unregister_pickle_by_value(probe_module)
    responses = []
    for (_, name), reference in zip(nodes, running, strict=True):
        try:
            responses.append(ray.get(reference, timeout=_TIMEOUT))
        except Exception as error:  # of Ray: the node died, the task failed, or time is up
            raise ClusterError(
                f"the node {name} of the Ray cluster does not respond",
                found=reason_of_ray(error),
                remedy="restart Ray on this node, or take it out of the cluster",
            ) from None
    return responses


def check_nodes(nodes: Sequence[Node], needs: Needs) -> None:
    """Require that every node, as by `inspect_nodes`, can do the work.

    Raises:
        ClusterError: versions differ, a node misses a path, or has too little memory; the message names the node.
    """
    own = probe_module.probe(_question([], needs.packages))
    problems = [problem for node in nodes for problem in _problems(node, own, needs)]
    if not problems and not any(node.workers(needs.threads) for node in nodes):
        problem = f"no node of the cluster has {counted(needs.threads, 'core')} for a {needs.worker}"
        problems = [ClusterError(problem, remedy="use fewer --threads")]
    if problems:
        first = problems[0]
        more = f"; and {len(problems) - 1:,} more problems" if len(problems) > 1 else ""
        raise ClusterError(f"{first.problem}{more}", expected=first.expected, found=first.found, remedy=first.remedy)


def check_access(ray: Any, nodes: Sequence[Node], needs: Needs) -> None:
    """Require that every node can read the images in object storage, and write beside the results there.

    The nodes have passed `check_nodes`.

    Raises:
        ClusterError: a node can't; the message names the node and the address.
        DataError: there is no bucket for the results.
    """
    images, out = needs.images, needs.out
    objects = [(image.scheme, image.path) for image in images if image.scheme]
    is_written = out is not None and out.is_remote
    if not objects and not is_written:
        return
    questions = []
    for node in nodes:
        token = out.beside(f".tmp-{node.node_id}") if out is not None and is_written else None
        questions.append((objects, None if token is None else (token.scheme, token.path)))
    found = run_on_nodes(ray, [(node.node_id, node.address) for node in nodes], access_problem, questions)
    for node, problem in zip(nodes, found, strict=True):
        if problem == NO_BUCKET and out is not None and is_written:
            raise DataError(
                f"'{printable(out.text)}' can't be used: {problem}", remedy="create the bucket, or name another one"
            )
        if problem is not None:
            what = printable(out.text) if out is not None and is_written else printable(images[0].name)
            raise ClusterError(
                f"the node {node.address} can't use object storage",
                found=f"{what}: {problem}",
                remedy="set the credentials of the storage in the environment of `ray start` on this node",
            )


def _problems(node: Node, own: dict[str, Any], needs: Needs) -> Iterator[ClusterError]:
    yield from _differences(node, own)
    report, out = node.report, needs.out
    if report["missing"]:
        yield ClusterError(
            f"the node {node.address} can't see the images that this machine sees",
            found=f"no such file there, or another size: {printable(os.fsdecode(report['missing'][0]))}",
            remedy="put the images on a file system that all nodes mount at the same path, or into object storage",
        )
    if out is not None and (not report["sees_token"] or report["unwritable"]):
        what = "can't write" if report["sees_token"] else "can't see the folder of"
        yield ClusterError(
            f"the node {node.address} {what} the results '{printable(out.text)}'",
            remedy="name with --out a path that all nodes mount at the same place, or an address in object storage",
        )
    workers = needs.on(node)
    need = workers * needs.worker_bytes
    if min(node.memory, report["memory"]) < need:
        yield ClusterError(
            f"the node {node.address} has too little memory",
            expected=f"{need / 1e9:.1f} GB for {counted(workers, needs.worker)}",
            found=f"{min(node.memory, report['memory']) / 1e9:.1f} GB",
            remedy="free memory, or start Ray on this node with fewer --num-cpus",
        )
    if node.object_store < _STORE_BYTES + 2 * needs.contents:
        yield ClusterError(
            f"the object store of the node {node.address} is too small",
            expected=f"at least {(_STORE_BYTES + 2 * needs.contents) / 1e6:.0f} MB",
            found=f"{node.object_store / 1e6:.0f} MB",
            remedy="start Ray on this node with a larger --object-store-memory",
        )


def _differences(node: Node, own: dict[str, Any]) -> Iterator[ClusterError]:
    """Yield an error if the node has other packages than this machine, or another state of Saccade."""
    theirs, ours = node.report["versions"], own["versions"]
    different = [name for name in ours if theirs[name] != ours[name]]
    if different:
        yield ClusterError(
            f"the node {node.address} has other versions than this machine",
            expected=", ".join(f"{name} {ours[name]}" for name in different),
            found=", ".join(f"{name} {theirs[name]}" for name in different),
            remedy="install the same versions on all nodes, and restart Ray there",
        )
    elif node.report["source"] != own["source"]:
        yield ClusterError(
            f"the node {node.address} has another Saccade of the same version",
            expected=f"the source code {own['source']}",
            found=f"the source code {node.report['source']}",
            remedy="install the same Saccade on all nodes, and restart Ray there",
        )
