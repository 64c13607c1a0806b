"""The files of an audit: audit.json for programs, audit.html for people."""

from __future__ import annotations

import json
from pathlib import Path

from saccade.auditing.findings import Audit
from saccade.auditing.page import audit_page
from saccade.auditing.pictures import Pictures
from saccade.printable import printable_json
from saccade.whole_files import placed


def write_audit(audit: Audit, pictures: Pictures | None, folder: Path) -> tuple[Path, ...]:
    """Writes both, each whole or not at all.

    Args:
        audit: what was found.
        pictures: what the page shows pictures from; None where the data can't be loaded.
        folder: exists.

    Returns:
        The paths of what was written.
    """
    numbers, page = folder / "audit.json", folder / "audit.html"
    files = (numbers, page)
    with placed(numbers) as path:
        text = json.dumps(audit.to_dict() | {"files": list(map(str, files))}, indent=2, ensure_ascii=False)
        path.write_text(printable_json(text) + "\n", encoding="utf-8")
    with placed(page) as path:
        path.write_text(audit_page(audit, pictures), encoding="utf-8")
    return files
