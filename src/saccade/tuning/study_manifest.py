"""The directory of a study, and tuning.json in it: what is tuned. Whoever goes on with a study must agree with it."""

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
    """What is tuned, on what.

    Attributes:
        schema_version: of all files of the study.
        recipe: as it is: the first trial.
        space: what is searched.
        data: short name of the data.
        fingerprint: of its contents.
        preprocessing: how its images became arrays.
        num_validation_images: how many settings are compared on.
        validation_fingerprint: SHA-256 of their content hashes.
        versions: of Saccade, Python and the packages that trials depend on.
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
        """The record of a tuning that begins now."""
        environment = read_environment()
        own = {"saccade": environment.saccade, "python": environment.python, "optuna": version("optuna")}
        return cls(
            recipe=recipe,
            space=dict(space),
            data=printable(dataset.name),
            fingerprint=dataset.fingerprint,
            preprocessing=dataset.preprocessing,
            num_validation_images=len(validation),
            validation_fingerprint=hashlib.sha256("".join(validation.hashes).encode()).hexdigest(),
            versions=own | environment.packages,
        )


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Holds what all processes of a study take for a moment when they claim or conclude a trial."""
    with FileLock(folder / _LOCK):
        yield


def enter_folder(out: str | Path | None, record: TuningRecord) -> Path:
    """Makes the study's directory, or enters one that was made for the same.

    Args:
        out: the directory; None for the first free `tunings/<data>-<recipe>-<n>`.
        record: of this tuning.

    Raises:
        TuningError: the directory holds another study, or something else, or can't be made.
        RunError: its tuning.json is damaged, or of another version.
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
    """Refuses a directory that holds something else than a study.

    Raises:
        TuningError: it does, or is no directory.
    """
    path = out_path(out, TuningError)
    if path is None or (path / _RECORD).exists():
        return
    expected = "a directory that does not exist yet, or one made by `saccade tune`, which is gone on with"
    # A process that begins the same study at this moment makes the lock first.
    require_free(path, TuningError, plural="studies", expected=expected, ignored=[_LOCK])


def _require_same(folder: Path, before: TuningRecord, now: TuningRecord) -> None:
    found = [
        f"{key} = {_text(old)}, not {_text(new)}"
        for part, other in ((before.recipe, now.recipe), (before, now))
        for key in type(part).model_fields
        if key not in ("recipe", "data", "versions") and (old := getattr(part, key)) != (new := getattr(other, key))
    ]
    found += [
        f"{name} {before.versions.get(name, 'none')}, not {now.versions.get(name, 'none')}"
        for name in sorted(before.versions.keys() | now.versions.keys())
        if before.versions.get(name) != now.versions.get(name)
    ]
    if found:
        raise TuningError(
            f"the study in '{folder}' is another one",
            expected="the same recipe, search space, images and versions, with which it would be gone on",
            found="; ".join(found),
            remedy="name another directory with --out",
        )


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "{" + "; ".join(f"{key}: {each}" for key, each in value.items()) + "}"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:16]}…"
