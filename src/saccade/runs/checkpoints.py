"""Checkpoints: the complete state of a training on the disk, from which the training resumes to the same bits.

The folder `checkpoints` of a run holds a folder for each checkpoint, such as `step-00000042`, with the files

    state.json               position of the training, and its history so far
    network.safetensors      every variable of the trained network
    optimizer.safetensors    every variable of the optimizer
    best.safetensors         weights of the best epoch so far, where the weights of the best epoch are kept
    first-half.safetensors, second-half.safetensors   best weights by each half of the validation images, where these
                             are cross-fitted
    manifest.json            step, fingerprint of the run, and length and SHA-256 of each file above

A checkpoint is built in a folder `tmp-...`: every file is flushed to the disk, the manifest last, then the folder is
renamed. So a folder called `step-...` is complete, unless it was damaged later, which the manifest reveals. Older
checkpoints are removed after the new checkpoint was read back and is intact, so that an intact one exists at any time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from saccade.atomic_io import flush
from saccade.errors import RunError
from saccade.runs.safe_loading import read_contents
from saccade.runs.training_state import TrainingState
from saccade.sanitize import command_line

Arrays = Mapping[str, NDArray[np.generic]]

_NAME = r"step-\d{8,15}"
_MANIFEST = "manifest.json"
_STATE = "state.json"
_SUFFIX = ".safetensors"
_KEPT = 2
_LARGEST_MANIFEST = 100_000


@dataclass(frozen=True)
class Checkpoint:
    """State of a training.

    Attributes:
        state: position and history of the training.
        arrays: "network", "optimizer" and, where there are any, "best", "first-half" and "second-half" -> arrays by
            name.
    """

    state: TrainingState
    arrays: Mapping[str, Arrays]

    @property
    def kept(self) -> dict[str, dict[str, NDArray[np.float32]]]:
        """Weights to keep so far: name of the file, such as "best" -> `layer/variable` -> array."""
        return {
            file: {name: value.astype(np.float32, copy=False) for name, value in arrays.items()}
            for file, arrays in self.arrays.items()
            if file not in ("network", "optimizer")
        }


@dataclass(frozen=True)
class DamagedCheckpoint:
    """A checkpoint that can't be used.

    Attributes:
        path: folder of the checkpoint.
        reason: clause on the damage.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Latest:
    """Latest checkpoints of a run.

    Attributes:
        checkpoint: intact checkpoint with the highest step; None where there is none.
        damaged: damaged checkpoints with higher steps, the highest first.
    """

    checkpoint: Checkpoint | None
    damaged: tuple[DamagedCheckpoint, ...]


class _FileDigest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    run: str
    step: int = Field(ge=0)
    files: dict[str, _FileDigest]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run.

    Attributes:
        folder: folder of the checkpoints; it may not exist yet.
        run: fingerprint of the run.
    """

    folder: Path
    run: str
    _intact: set[Path] = field(default_factory=set, repr=False, compare=False)

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then remove all older checkpoints but the intact one before it.

        Raises:
            RunError: the checkpoint can't be written, or does not read back as it was written. Older checkpoints stay.
        """
        try:
            target = self._place(checkpoint)
        except OSError as error:
            raise RunError(
                f"no checkpoint can be written in '{self.folder}': {error.strerror}",
                found=f"step {checkpoint.state.step} of the training; earlier checkpoints are intact",
                remedy=f"correct that, then resume: {command_line('train', '--resume', self.folder.parent)}",
            ) from None
        if (reason := self._verify(target)) is not None:
            raise RunError(
                f"a checkpoint is damaged right after it was written: {target}",
                found=reason,
                remedy="the disk or the memory of this machine is not reliable; the checkpoint before it was kept",
            )
        self._intact.add(target)
        self._remove_older_than(target)

    def latest(self) -> Latest:
        """Return the newest intact checkpoint, and the damaged checkpoints that are newer."""
        damaged: list[DamagedCheckpoint] = []
        for path in reversed(self._all()):
            reason = self._verify(path)
            if reason is None:
                try:
                    checkpoint = _read(path)
                except (ValidationError, SafetensorError, ValueError, OSError) as error:
                    reason = f"its contents can't be understood: {type(error).__name__}"
                else:
                    self._intact.add(path)
                    return Latest(checkpoint, tuple(damaged))
            damaged.append(DamagedCheckpoint(path, reason))
        return Latest(None, tuple(damaged))

    def clean(self) -> None:
        """Remove unfinished checkpoints of a training that was killed. The caller must hold the lock of the run."""
        for left in self.folder.glob("tmp-*"):
            shutil.rmtree(left, ignore_errors=True)

    def _place(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint to the disk under its name."""
        self.folder.mkdir(exist_ok=True)
        target = self.folder / f"step-{checkpoint.state.step:08}"
        building = self.folder / f"tmp-{secrets.token_hex(8)}"
        building.mkdir()
        try:
            self._fill(building, checkpoint)
            flush(building)
            if target.exists():  # a damaged checkpoint: the training would have resumed from an intact one
                self._remove(target)
            building.rename(target)
            flush(self.folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return target

    def _fill(self, building: Path, checkpoint: Checkpoint) -> None:
        contents = {_STATE: checkpoint.state.model_dump_json(indent=1).encode()}
        for name, arrays in checkpoint.arrays.items():
            contents[f"{name}{_SUFFIX}"] = save({key: np.array(value, order="C") for key, value in arrays.items()})
        digests = {
            name: _FileDigest(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in contents.items()
        }
        manifest = _Manifest(run=self.run, step=checkpoint.state.step, files=digests)
        for name, content in {**contents, _MANIFEST: manifest.model_dump_json(indent=1).encode()}.items():
            (building / name).write_bytes(content)
            flush(building / name)

    def _all(self) -> list[Path]:
        """Return the folders of finished checkpoints, sorted by step."""
        if not self.folder.is_dir():
            return []
        found = {int(path.name[5:]): path for path in self.folder.iterdir() if re.fullmatch(_NAME, path.name)}
        return [path for _, path in sorted(found.items())]

    def _verify(self, path: Path) -> str | None:
        """Return a clause on the damage of a checkpoint; None for an intact checkpoint."""
        try:
            manifest = _Manifest.model_validate_json(read_contents(path / _MANIFEST, _LARGEST_MANIFEST))
            if manifest.run != self.run:
                return "it belongs to another run"
            if path.name != f"step-{manifest.step:08}":
                return f"it is that of step {manifest.step}"
            return _difference(path, manifest.files)
        except RunError as error:
            return error.problem
        except OSError as error:
            return f"it can't be read: {error.strerror}"
        except ValidationError:
            return "its manifest is damaged"

    def _remove_older_than(self, newest: Path) -> None:
        """Remove all checkpoints, damaged ones too, but the newest and the intact checkpoint before it."""
        before = [path for path in self._all() if path != newest]
        kept = [path for path in reversed(before) if path in self._intact or self._verify(path) is None][: _KEPT - 1]
        for path in before:
            if path not in kept:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        """Remove a checkpoint, which is renamed first, so that no other process finds it half removed."""
        away = path.with_name(f"tmp-{secrets.token_hex(8)}")
        path.rename(away)
        shutil.rmtree(away, ignore_errors=True)
        self._intact.discard(path)


def _difference(path: Path, files: Mapping[str, _FileDigest]) -> str | None:
    """Return a clause on the difference between the files of a checkpoint and its manifest; None for no difference."""
    there = {file.name: file.lstat() for file in path.iterdir() if file.name != _MANIFEST}
    if set(there) != set(files):
        return f"files are missing or too many: {', '.join(sorted(set(there) ^ set(files)))}"
    for name, digest in files.items():
        if not stat.S_ISREG(there[name].st_mode):
            return f"{name} is not a file"
        if there[name].st_size != digest.bytes:
            return f"{name} has {there[name].st_size:,} bytes instead of {digest.bytes:,}"
        if _sha256(path / name) != digest.sha256:
            return f"the contents of {name} have changed"
    return None


def _read(path: Path) -> Checkpoint:
    state = TrainingState.model_validate_json((path / _STATE).read_bytes())
    files = sorted(path.glob(f"*{_SUFFIX}"))
    return Checkpoint(state, {file.name.removesuffix(_SUFFIX): load(file.read_bytes()) for file in files})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
