"""What an experiment of several trainings is about, kept beside them, so that only the same one goes on with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from saccade.atomic_io import write_json
from saccade.recipes import Recipe
from saccade.runs.safe_loading import read_record
from saccade.runs.schema import SCHEMA_VERSION, SchemaVersion
from saccade.training.repeated_training import differences, reject_others

_NAME = "plan.json"


class Plan(BaseModel):
    """What an experiment is about.

    Attributes:
        schema_version: of all files of the experiment.
        purpose: of the trainings, such as "cross-validation with 5 folds".
        data: short name of the data.
        fingerprint: of its contents.
        images: hexadecimal hash of the contents of those that the experiment uses.
        recipe: of the trainings, with the seed that all their seeds follow from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: SchemaVersion = SCHEMA_VERSION
    purpose: str
    data: str
    fingerprint: str
    images: str
    recipe: Recipe


def images_key(*parts: Sequence[str]) -> str:
    """A hash of content hashes, part by part, whatever their order within a part."""
    return hashlib.sha256("\n\n".join("\n".join(sorted(part)) for part in parts).encode()).hexdigest()


def is_begun(folder: Path) -> bool:
    """Whether an experiment was begun there."""
    return (folder / _NAME).is_file()


def keep_to(plan: Plan, folder: Path) -> None:
    """Writes the plan into a folder, or holds it to the one that is there.

    Raises:
        RunError: the one that is there is another, of another version, or can't be read.
    """
    if not is_begun(folder):
        write_json(folder / _NAME, plan.model_dump())
        return
    before = read_record(folder / _NAME, Plan)
    found = differences(before.recipe, plan.recipe)
    if before.purpose != plan.purpose:
        found.append(f"{before.purpose}, not {plan.purpose}")
    if (before.fingerprint, before.images) != (plan.fingerprint, plan.images):
        found.append(f"'{before.data}' with other images, or otherwise parted, than '{plan.data}' is now")
    reject_others(f"the trainings in '{folder}' were begun for something else", found)
