"""benchmark: what each format of a run costs and gives, measured in clean processes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from saccade.deploy.export import Export, export_and_verify
from saccade.deploy.formats import FORMATS, require_format
from saccade.deploy.verify import Check, Verified, check_for
from saccade.errors import ExportError
from saccade.inference.predictor import Predictor
from saccade.progress import counting
from saccade.runs.run import Run

if TYPE_CHECKING:
    from saccade.deploy.verify_worker import Speed


@dataclass(frozen=True)
class FormatBenchmark:
    """What a format costs and gives.

    Attributes:
        format: one of `FORMATS`.
        size_bytes: of the model.
        num_correct: how many of the run's kept validation images it gives their true class; None without such images.
        num_images: how many those are.
        same_class: part of the images it was checked on that get the class that the run gives, 0 to 1.
        cold_start_seconds: from the start of a process to its first answer, the runtime's import included.
        latency_ms: median time of a call with one image, already decoded.
        images_per_second: in batches of 32, already decoded.
        memory_mb: of the process at its peak, in megabytes (10^6 bytes).
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
    """Exports a run to each format, opens each in a process of its own and measures it. Nothing is kept.

    Args:
        run: a run or its directory.
        formats: some of `FORMATS`.
        progress: whether to show on stderr how far it is.

    Returns:
        The figures of each format that could be exported, and of the others, format -> why not.

    Raises:
        RunError: no run there, a damaged one, or one without weights.
        ExportError: a format is not known.
    """
    run = Run.open(run)
    for form in formats:
        require_format(form)
    check = check_for(run, Predictor.from_run(run))
    found, failed = [], {}
    with counting("measuring", total=len(formats), unit="formats", shown=progress) as bar:
        for form in formats:
            with tempfile.TemporaryDirectory(prefix="saccade-benchmark-") as folder:
                try:
                    out = Path(folder) / f"model{FORMATS[form].suffix}"
                    exported, verified = export_and_verify(run, form, out, check, timed=True)
                except ExportError as error:
                    failed[form] = error.problem
                else:
                    found.append(_benchmark_of(exported, verified, check))
            bar.update(1)
    return found, failed


def _benchmark_of(exported: Export, verified: Verified, check: Check) -> FormatBenchmark:
    right = None if check.labels is None else int((verified.predictions.argmax(axis=1) == check.labels).sum())
    n = 0 if right is None else len(verified.predictions)
    speed = asdict(cast("Speed", verified.speed))  # which was asked for
    return FormatBenchmark(exported.format, exported.size_bytes, right, n, verified.same_class, **speed)
