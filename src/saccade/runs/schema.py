"""Schema version of records, and the check of the version before a record is read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from saccade.errors import RunError

SchemaVersion = Literal[2]
SCHEMA_VERSION: SchemaVersion = 2
"""Version that increases when a file or key of runs, studies, experiments or exports gets another name or meaning."""


class _Versioned(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    schema_version: int = 1  # records of the first version have no number


def require_schema(record: str | bytes, what: str, *, remedy: str = "train again") -> None:
    """Check the schema version of a JSON record. Text that is no such record is left to the schema of the record.

    Args:
        record: JSON text.
        what: run, study or file of the record, in quotation marks, for the error.
        remedy: advice for users of this version of Saccade.

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
