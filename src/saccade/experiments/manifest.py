"""plan.json: the purpose, data and recipe of an experiment, so that only the same experiment is resumed."""

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
    """Plan of an experiment.

    Attributes:
        schema_version: schema version of all files of the experiment.
        purpose: purpose of the trainings, such as "cross-validation with 5 folds".
        data: short name of the data.
        fingerprint: fingerprint of the data.
        images: hexadecimal hash of the images of the experiment.
        recipe: recipe of the trainings. Its seed determines the seeds of all trainings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: SchemaVersion = SCHEMA_VERSION
    purpose: str
    data: str
    fingerprint: str
    images: str
    recipe: Recipe


def hash_of_images(*splits: Sequence[str]) -> str:
    """Return a hash of the content hashes of several splits, independent of the order within a split."""
    return hashlib.sha256("\n\n".join("\n".join(sorted(hashes)) for hashes in splits).encode()).hexdigest()


def has_plan(folder: Path) -> bool:
    """Return `True` if a directory holds an experiment."""
    return (folder / _NAME).is_file()


def write_or_check_plan(plan: Plan, folder: Path) -> None:
    """Write the plan into a directory, or compare it with the plan that the directory holds.

    Raises:
        RunError: the directory holds another plan, a plan of another version, or an unreadable one.
    """
    if not has_plan(folder):
        write_json(folder / _NAME, plan.model_dump())
        return
    before = read_record(folder / _NAME, Plan)
    found = differences(before.recipe, plan.recipe)
    if before.purpose != plan.purpose:
        found.append(f"{before.purpose}, not {plan.purpose}")
    if (before.fingerprint, before.images) != (plan.fingerprint, plan.images):
        found.append(f"'{before.data}' with other images or splits than '{plan.data}' has now")
    reject_others(f"the trainings in '{folder}' were begun for something else", found)
