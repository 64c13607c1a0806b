"""benchmark: size, accuracy, speed and memory of each export format, measured in clean processes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from saccade.deploy.export import Export, export_and_verify
from saccade.deploy.formats import FORMATS, require_format
from saccade.deploy.verify import Reference, Verification, make_reference
from saccade.errors import ExportError
from saccade.inference.predictor import Predictor
from saccade.progress import counting
from saccade.runs.run import Run

if TYPE_CHECKING:
    from saccade.deploy.verify_worker import Speed


@dataclass(frozen=True)
class FormatBenchmark:
    """Benchmark of an export format.

    Attributes:
        format: one of `FORMATS`.
        size_bytes: size of the model, in bytes.
        num_correct: number of correct predictions for the run's kept validation images; None without such images.
        num_images: number of these validation images.
        same_class: share of the verification images for which the export predicts the class of the run, 0 to 1.
        cold_start_seconds: time from the start of a process to its first prediction, with the import of the runtime.
        latency_ms: median time of a call with one decoded image, in milliseconds.
        images_per_second: throughput of decoded images in batches of 32.
        memory_mb: peak memory of the process, in megabytes (10^6 bytes).
    """

    format: str
    size_bytes: int
    num_correct: int | None
    num_images: int
    same_class: float
    cold_start_seconds: float
    latency_ms: float
    images_per_second: float
    memory_mb: float


def benchmark(
    run: Run | str | Path, formats: Sequence[str] = tuple(FORMATS), *, progress: bool = False
) -> tuple[list[FormatBenchmark], dict[str, str]]:
    """Export a run to each format, and measure each export in a process of its own. The exports are removed.

    Args:
        run: a run or its directory.
        formats: formats to measure, of `FORMATS`.
        progress: whether to show a progress bar on stderr.

    Returns:
        The benchmark of each format that could be exported; for each other format, format -> reason.

    Raises:
        RunError: there is no run, or it is damaged or without weights.
        ExportError: there is no such format.
    """
    run = Run.open(run)
    for form in formats:
        require_format(form)
    reference = make_reference(run, Predictor.from_run(run))
    results, failed = [], {}
    with counting("measuring", total=len(formats), unit="formats", shown=progress) as bar:
        for form in formats:
            with tempfile.TemporaryDirectory(prefix="saccade-benchmark-") as folder:
                try:
                    out = Path(folder) / f"model{FORMATS[form].suffix}"
                    exported, verified = export_and_verify(run, form, out, reference, timed=True)
                except ExportError as error:
                    failed[form] = error.problem
                else:
                    results.append(_benchmark_of(exported, verified, reference))
            bar.update(1)
    return results, failed


def _benchmark_of(exported: Export, verified: Verification, reference: Reference) -> FormatBenchmark:
    num_correct = (
        None if reference.labels is None else int((verified.probabilities.argmax(axis=1) == reference.labels).sum())
    )
    n = 0 if num_correct is None else len(verified.probabilities)
    speed = asdict(cast("Speed", verified.speed))  # not None with timed=True
    return FormatBenchmark(exported.format, exported.size_bytes, num_correct, n, verified.same_class, **speed)
