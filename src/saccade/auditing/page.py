"""HTML page of an audit: findings with images to keep, relabel or drop."""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Audit, Finding, FindingImage
from saccade.html.render import image_source, render, thumbnail

# Limits for a page of at most about 15 MB.
_MAX_PER_FINDING = 200
_MAX_PER_GROUP = 12
_MAX_SIDE = 128
_MAX_CLASSES = 1000


def audit_page(audit: Audit, images: AuditedImages | None) -> str:
    """Return the page as HTML.

    Args:
        audit: result of the audit.
        images: images of the data; None if the data can't be loaded.
    """
    sections = [_section(number, finding, images) for number, finding in enumerate(audit.findings)]
    return render("audit.html", audit=audit, sections=sections, classes=audit.class_names[:_MAX_CLASSES])


def _section(number: int, finding: Finding, images: AuditedImages | None) -> dict[str, Any]:
    groups: list[list[dict[str, Any]]] = []
    remaining = _MAX_PER_FINDING
    for group in finding.groups:
        selected = group[: min(remaining, _MAX_PER_GROUP)]
        if not selected:
            break
        groups.append([_image_context(image, images) for image in selected])
        remaining -= len(selected)
    return {
        "id": f"finding-{number}",
        "finding": finding,
        "groups": groups,
        "grouped": any(len(group) > 1 for group in finding.groups),
        "more": sum(map(len, finding.groups)) - sum(map(len, groups)),
        "has_suggestions": any(image.suggestion for image in finding.images),
    }


def _image_context(image: FindingImage, images: AuditedImages | None) -> dict[str, Any]:
    if images is None or image.position < 0:
        return {"image": image, "source": None, "width": 0, "height": 0}
    pixels = images.all.take(np.array([image.position]))[0]
    resized = thumbnail(pixels, _MAX_SIDE)
    return {
        "image": image,
        "source": image_source(resized),
        "width": resized.shape[1],
        "height": resized.shape[0],
    }
