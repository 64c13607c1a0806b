"""Throughput and latency of `saccade serve`, compared with direct calls of the model.

    python benchmarks/serving.py RUN IMAGE [--seconds 10] [--repeats 3]

Direct: IMAGE is decoded and predicted in this process, one by one and in batches of the server's maximum size. Served:
1, 8 and 64 clients in another process send IMAGE continuously to `POST /api/models/NAME/image`. The processor time of
the clients is subtracted: if the clients used four of the twenty seconds of two cores in ten seconds, the server had
sixteen, so its rate is computed over eight seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from processes import SACCADE, at_least_one, run_program
from results import Result, add_results_option, keep_results

from saccade.data.decoding.decode import decode
from saccade.deploy.server.served_model import ServedModel
from saccade.errors import SaccadeError
from saccade.machine import usable_cores

CLIENTS = (1, 8, 64)


@dataclass(frozen=True)
class Direct:
    """Direct calls of the model, decoding included.

    Attributes:
        rate: images per second in batches.
        latencies: latencies of single images, in seconds.
    """

    rate: float
    latencies: Sequence[float]


@dataclass(frozen=True)
class Served:
    """Measurements of clients of the server.

    Attributes:
        requests: requests per second.
        rate: requests per second without the processor time of the clients.
        latencies: latencies of single requests, in seconds.
    """

    requests: float
    rate: float
    latencies: Sequence[float]


def main() -> None:
    """Measure both in turn, print and save the results."""
    parser = argparse.ArgumentParser(description="Compares a server with its model called directly.")
    parser.add_argument("run", metavar="RUN", help="a run directory")
    parser.add_argument("image", metavar="IMAGE", type=Path, help="an image file")
    parser.add_argument("--seconds", type=at_least_one, default=10, help="seconds of each measurement")
    parser.add_argument("--repeats", type=at_least_one, default=3)
    add_results_option(parser)
    options = parser.parse_args()
    served_model = ServedModel.load(options.run, "model", 1, None)
    contents = options.image.read_bytes()
    direct: list[Direct] = []
    served: dict[int, list[Served]] = {clients: [] for clients in CLIENTS}
    with server_of(options.run) as address:
        url = f"{address}/api/models/{Path(options.run).resolve().name}/image"
        for _ in range(options.repeats):
            direct.append(call_directly(served_model, contents, options.seconds))
            for clients in CLIENTS:
                served[clients].append(measure_clients(url, options.image, clients, options.seconds))
    recipe = served_model.run_info["recipe"]
    note = f"{recipe}, {options.image.suffix} of {len(contents):,} bytes, {1000 / direct[0].rate:.1f} ms an image"
    keep_results("serving", results_of(direct, served, note), options.results)


@contextmanager
def server_of(run: str) -> Iterator[str]:
    """Start a server of a run in a new process and yield its address."""
    command = [*SACCADE, "serve", run, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            if not line.startswith("serving at "):
                raise SaccadeError("the server did not start", found=line)
            yield line.removeprefix("serving at ").strip()
        finally:
            process.terminate()


def call_directly(served: ServedModel, contents: bytes, seconds: float) -> Direct:
    """Decode and predict an image, one by one and in batches, for half of the seconds each."""
    preprocessing = served.record.preprocessing
    latencies = []
    end = time.perf_counter() + seconds / 2
    while (began := time.perf_counter()) < end:
        served.predict([decode(contents, preprocessing).pixels])
        latencies.append(time.perf_counter() - began)
    images, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds / 2:
        served.predict([decode(contents, preprocessing).pixels for _ in range(served.max_batch_size)])
        images += served.max_batch_size
    return Direct(images / elapsed, latencies)


def measure_clients(url: str, image: Path, clients: int, seconds: float) -> Served:
    """Measure a number of clients of the server."""
    program = Path(__file__).with_name("http_clients.py")
    command = [sys.executable, str(program), url, str(image), str(clients), str(seconds)]
    done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    latencies, elapsed = done["latencies"], done["seconds"]
    without_clients = elapsed - done["processor_seconds"] / usable_cores()
    return Served(len(latencies) / elapsed, len(latencies) / without_clients, latencies)


def results_of(direct: Sequence[Direct], served: dict[int, list[Served]], note: str) -> list[Result]:
    """Return rates and latencies, and their ratios to direct calls of the same round."""
    single = [percentile(one.latencies, 99) for one in direct]
    results = [
        Result("direct", "in batches", "images/s", [one.rate for one in direct], note),
        Result("direct", "one image, median", "s", [statistics.median(one.latencies) for one in direct], note),
        Result("direct", "one image, 99th percentile", "s", single, note),
    ]
    for clients, rounds in served.items():
        subject = f"{clients} clients" if clients > 1 else "1 client"
        ratios = [one.rate / base.rate for one, base in zip(rounds, direct, strict=True)]
        results += [
            Result(subject, "requests", "images/s", [one.requests for one in rounds], note),
            Result(subject, "median", "s", [percentile(one.latencies, 50) for one in rounds], note),
            Result(subject, "99th percentile", "s", [percentile(one.latencies, 99) for one in rounds], note),
            Result(subject, "rate without the clients' time, to direct batches", "ratio", ratios, note),
        ]
    excess = [percentile(one.latencies, 99) - 1.3 * base for one, base in zip(served[CLIENTS[0]], single, strict=True)]
    return [*results, Result("1 client", "99th percentile less 1.3 times the direct one", "s", excess, note)]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile of the values."""
    return float(np.percentile(values, percent))


if __name__ == "__main__":
    run_program(main)
