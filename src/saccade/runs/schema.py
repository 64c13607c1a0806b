"""The version of the schema in which records are written, and the refusal of records of another version."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from saccade.errors import RunError

SchemaVersion = Literal[2]
SCHEMA_VERSION: SchemaVersion = 2
"""To be raised whenever a file or a key of runs, studies, experiments or exports gets another name or meaning."""


class _Versioned(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    schema_version: int = 1  # records of the first version have no number


def require_schema(record: str | bytes, what: str, *, remedy: str = "train again") -> None:
    """Refuses a JSON record of another version. What is not such a record at all is left to the record's own schema.

    Args:
        record: JSON text.
        what: the record's run, study or file, in quotation marks, for the error.
        remedy: what to do with this version of Saccade.

    Raises:
        RunError: the record has another schema version, or none.
    """
    try:
        found = _Versioned.model_validate_json(record).schema_version
    except ValidationError:
        return
    if found != SCHEMA_VERSION:
        raise RunError(
            f"{what} was made by another version of Saccade",
            expected=f"schema version {SCHEMA_VERSION}, which this version of Saccade reads",
            found=f"schema version {found}",
            remedy=f"{remedy}, or use the version of Saccade that made it",
        )
