"""Directory of a study, and tuning.json in it, which every process of the study must match."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from saccade.atomic_io import write_json
from saccade.data.dataset import Dataset, Preprocessing, Split
from saccade.errors import TuningError
from saccade.named_paths import out_path
from saccade.output_folders import make_folder, numbered, require_free
from saccade.recipes import Recipe
from saccade.recipes.search_space import Choices, Range
from saccade.runs.environment import read_environment
from saccade.runs.safe_loading import read_record
from saccade.runs.schema import SCHEMA_VERSION, SchemaVersion
from saccade.sanitize import printable

_RECORD = "tuning.json"
_LOCK = "study.lock"


class TuningRecord(BaseModel):
    """Recipe, search space, data and versions of a study.

    Attributes:
        schema_version: schema version of all files of the study.
        recipe: unchanged recipe, which is the first trial.
        space: search space.
        data: short name of the data.
        fingerprint: fingerprint of the data.
        preprocessing: preprocessing of the images.
        num_validation_images: number of validation images.
        validation_fingerprint: SHA-256 of the content hashes of the validation images.
        versions: versions of Saccade, Python and the packages that trials depend on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    schema_version: SchemaVersion = SCHEMA_VERSION
    recipe: Recipe
    space: dict[str, Range | Choices]
    data: str
    fingerprint: str
    preprocessing: Preprocessing
    num_validation_images: int
    validation_fingerprint: str
    versions: dict[str, str]

    @classmethod
    def of(
        cls, recipe: Recipe, space: Mapping[str, Range | Choices], dataset: Dataset, validation: Split
    ) -> TuningRecord:
        """Return the record of a new study."""
        environment = read_environment()
        versions = {"saccade": environment.saccade, "python": environment.python, "optuna": version("optuna")}
        return cls(
            recipe=recipe,
            space=dict(space),
            data=printable(dataset.name),
            fingerprint=dataset.fingerprint,
            preprocessing=dataset.preprocessing,
            num_validation_images=len(validation),
            validation_fingerprint=hashlib.sha256("".join(validation.hashes).encode()).hexdigest(),
            versions=versions | environment.packages,
        )


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of the study, which a process takes to claim or conclude a trial."""
    with FileLock(folder / _LOCK):
        yield


def enter_folder(out: str | Path | None, record: TuningRecord) -> Path:
    """Make the directory of a study, or check that an existing one holds the same study.

    Args:
        out: directory; None: the first free `tunings/<data>-<recipe>-<n>`.
        record: record of this study.

    Raises:
        TuningError: the directory holds another study or something else, or cannot be made.
        RunError: tuning.json is damaged or has another schema version.
    """
    check_folder(out)
    folder = make_folder(out, numbered(Path("tunings"), f"{record.data}-{record.recipe.name}-"), TuningError)
    try:
        with study_lock(folder):
            if not (folder / _RECORD).exists():
                write_json(folder / _RECORD, record.model_dump())
        (folder / "trials").mkdir(exist_ok=True)
    except OSError as error:
        raise TuningError(
            f"the directory of the study can't be made: {error.strerror}", remedy="name another one with --out"
        ) from None
    _require_same(folder, read_record(folder / _RECORD, TuningRecord), record)
    return folder


def check_folder(out: str | Path | None) -> None:
    """Check that a path is free or the directory of a study.

    Raises:
        TuningError: the path holds something else.
    """
    path = out_path(out, TuningError)
    if path is None or (path / _RECORD).exists():
        return
    expected = "a directory that does not exist yet, or one made by `saccade tune`, which is resumed"
    # A process that begins the same study at this moment makes the lock first.
    require_free(path, TuningError, plural="studies", expected=expected, ignored=[_LOCK])


def _require_same(folder: Path, before: TuningRecord, now: TuningRecord) -> None:
    found = [
        f"{key} = {_text(old)}, not {_text(new)}"
        for first, second in ((before.recipe, now.recipe), (before, now))
        for key in type(first).model_fields
        if key not in ("recipe", "data", "versions") and (old := getattr(first, key)) != (new := getattr(second, key))
    ]
    found += [
        f"{name} {before.versions.get(name, 'none')}, not {now.versions.get(name, 'none')}"
        for name in sorted(before.versions.keys() | now.versions.keys())
        if before.versions.get(name) != now.versions.get(name)
    ]
    if found:
        raise TuningError(
            f"the study in '{folder}' is another one",
            expected="the same recipe, search space, images and versions, with which the study is resumed",
            found="; ".join(found),
            remedy="name another directory with --out",
        )


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "{" + "; ".join(f"{key}: {each}" for key, each in value.items()) + "}"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:16]}…"
