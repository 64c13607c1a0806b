"""Directory and files of an audit."""

from __future__ import annotations

import json
import re
from pathlib import Path

from saccade.atomic_io import atomic_write
from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Audit
from saccade.auditing.page import audit_page
from saccade.errors import DataError
from saccade.output_folders import make_folder, numbered, require_free
from saccade.sanitize import printable_json


def check_free(out: str | Path | None) -> None:
    """Fails before the work where `make_audit_folder` would fail after it.

    Raises:
        DataError: `out` exists and is not an empty directory.
    """
    require_free(out, DataError, plural="audits")


def make_audit_folder(out: str | Path | None, name: str) -> Path:
    """Makes the directory asked for, or the first free `audits/<name>-<n>`.

    Raises:
        DataError: it is in the way, or can't be made.
    """
    check_free(out)
    return make_folder(out, numbered(Path("audits"), re.sub(r"[^\w.-]+", "-", name) + "-"), DataError)


def write_audit(audit: Audit, images: AuditedImages | None, folder: Path) -> tuple[Path, ...]:
    """Write audit.json and audit.html, each atomically.

    Args:
        audit: result of the audit.
        images: images of the page; None if the data can't be loaded.
        folder: existing directory.

    Returns:
        Paths of the files.
    """
    numbers, page = folder / "audit.json", folder / "audit.html"
    files = (numbers, page)
    with atomic_write(numbers) as path:
        text = json.dumps(audit.to_dict() | {"files": list(map(str, files))}, indent=2, ensure_ascii=False)
        path.write_text(printable_json(text) + "\n", encoding="utf-8")
    with atomic_write(page) as path:
        path.write_text(audit_page(audit, images), encoding="utf-8")
    return files
