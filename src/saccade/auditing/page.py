"""audit.html: the findings with their images, and the choice to keep, relabel or drop each."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Audit, Finding, FindingImage
from saccade.html.render import image_source, render

# So that the page stays of a size that a browser opens at once, at most about 15 MB.
_MOST_OF_A_FINDING = 200
_MOST_IN_A_GROUP = 12
_LARGEST_SIDE = 128
_MOST_CLASSES = 1000


def audit_page(audit: Audit, images: AuditedImages | None) -> str:
    """The page as HTML.

    Args:
        audit: what was found.
        images: where the images are; None where the data can't be loaded.
    """
    sections = [_section(number, finding, images) for number, finding in enumerate(audit.findings)]
    return render("audit.html", audit=audit, sections=sections, classes=audit.class_names[:_MOST_CLASSES])


def _section(number: int, finding: Finding, images: AuditedImages | None) -> dict[str, Any]:
    shown: list[list[dict[str, Any]]] = []
    room = _MOST_OF_A_FINDING
    for group in finding.groups:
        part = group[: min(room, _MOST_IN_A_GROUP)]
        if not part:
            break
        shown.append([_image_context(image, images) for image in part])
        room -= len(part)
    return {
        "id": f"finding-{number}",
        "finding": finding,
        "groups": shown,
        "together": any(len(group) > 1 for group in finding.groups),
        "more": sum(map(len, finding.groups)) - sum(map(len, shown)),
        "suggested": any(image.suggestion for image in finding.images),
    }


def _image_context(image: FindingImage, images: AuditedImages | None) -> dict[str, Any]:
    if images is None or image.position < 0:
        return {"image": image, "source": None, "width": 0, "height": 0}
    pixels = images.all.take(np.array([image.position]))[0]
    thumbnail = Image.fromarray(pixels)
    thumbnail.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    small = np.asarray(thumbnail)
    return {
        "image": image,
        "source": image_source(small),
        "width": small.shape[1],
        "height": small.shape[0],
    }
