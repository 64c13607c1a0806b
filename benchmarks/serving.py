"""How near `saccade serve` comes to the same model called directly in a loop.

    python benchmarks/serving.py RUN IMAGE [--seconds 10] [--repeats 3]

Directly: IMAGE is decoded and answered in this process, one by one, and in batches as large as the server's. Served:
1, 8 and 64 clients in a process of their own send it over and over to `POST /api/models/NAME/image`. The processor
time of the clients is taken out of the rate: of two cores for ten seconds, of which the clients took four seconds, the
server had sixteen, so its rate is taken over eight seconds.
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
    """The model called directly, decoding included.

    Attributes:
        rate: images a second in batches.
        latencies: seconds of single images.
    """

    rate: float
    latencies: Sequence[float]


@dataclass(frozen=True)
class Served:
    """What some clients saw.

    Attributes:
        requests: answered in a second.
        rate: the same with the clients' own processor time taken out.
        latencies: seconds of single requests.
    """

    requests: float
    rate: float
    latencies: Sequence[float]


def main() -> None:
    """Measures both in turn, prints and keeps the numbers."""
    parser = argparse.ArgumentParser(description="Compares a server with its model called directly.")
    parser.add_argument("run", metavar="RUN", help="a run directory")
    parser.add_argument("image", metavar="IMAGE", type=Path, help="an image file")
    parser.add_argument("--seconds", type=at_least_one, default=10, help="of each measurement")
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
                served[clients].append(ask(url, options.image, clients, options.seconds))
    recipe = served_model.run_info["recipe"]
    note = f"{recipe}, {options.image.suffix} of {len(contents):,} bytes, {1000 / direct[0].rate:.1f} ms an image"
    keep_results("serving", results_of(direct, served, note), options.results)


@contextmanager
def server_of(run: str) -> Iterator[str]:
    """The address of a server of a run, in a process of its own."""
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
    """Decodes and answers an image, singly and in batches, for half of the seconds each."""
    preprocessing = served.record.preprocessing
    latencies = []
    end = time.perf_counter() + seconds / 2
    while (began := time.perf_counter()) < end:
        served.predict([decode(contents, preprocessing).pixels])
        latencies.append(time.perf_counter() - began)
    images, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds / 2:
        served.predict([decode(contents, preprocessing).pixels for _ in range(served.max_batch_size)])
        images += served.max_batch_size
    return Direct(images / took, latencies)


def ask(url: str, image: Path, clients: int, seconds: float) -> Served:
    """What so many clients see."""
    program = Path(__file__).with_name("http_clients.py")
    command = [sys.executable, str(program), url, str(image), str(clients), str(seconds)]
    done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    latencies, took = done["latencies"], done["seconds"]
    without_clients = took - done["processor_seconds"] / usable_cores()
    return Served(len(latencies) / took, len(latencies) / without_clients, latencies)


def results_of(direct: Sequence[Direct], served: dict[int, list[Served]], note: str) -> list[Result]:
    """Rates and latencies, and how they compare with calling directly in the same round."""
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


def percentile(values: Sequence[float], part: float) -> float:
    """The value that so many per cent of the values do not exceed."""
    return float(np.percentile(values, part))


if __name__ == "__main__":
    run_program(main)
