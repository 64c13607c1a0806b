"""audit.html: the findings with their pictures, and the choice to keep, relabel or drop each."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from saccade.auditing.all_images import Pictures
from saccade.auditing.findings import Audit, Finding, Picture
from saccade.html.render import picture_source, render

# So that the page stays of a size that a browser opens at once, at most about 15 MB.
_MOST_OF_A_FINDING = 200
_MOST_IN_A_GROUP = 12
_LARGEST_SIDE = 128
_MOST_CLASSES = 1000


def audit_page(audit: Audit, pictures: Pictures | None) -> str:
    """The page as HTML.

    Args:
        audit: what was found.
        pictures: where the pictures are; None where the data can't be loaded.
    """
    sections = [_section(number, finding, pictures) for number, finding in enumerate(audit.findings)]
    return render("audit.html", audit=audit, sections=sections, classes=audit.class_names[:_MOST_CLASSES])


def _section(number: int, finding: Finding, pictures: Pictures | None) -> dict[str, Any]:
    shown: list[list[dict[str, Any]]] = []
    room = _MOST_OF_A_FINDING
    for group in finding.groups:
        part = group[: min(room, _MOST_IN_A_GROUP)]
        if not part:
            break
        shown.append([_figure(picture, pictures) for picture in part])
        room -= len(part)
    return {
        "id": f"finding-{number}",
        "finding": finding,
        "groups": shown,
        "together": any(len(group) > 1 for group in finding.groups),
        "more": sum(map(len, finding.groups)) - sum(map(len, shown)),
        "suggested": any(picture.suggestion for picture in finding.pictures),
    }


def _figure(picture: Picture, pictures: Pictures | None) -> dict[str, Any]:
    if pictures is None or picture.position < 0:
        return {"picture": picture, "source": None, "width": 0, "height": 0}
    pixels = pictures.all.take(np.array([picture.position]))[0]
    image = Image.fromarray(pixels)
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    small = np.asarray(image)
    return {
        "picture": picture,
        "source": picture_source(small),
        "width": small.shape[1],
        "height": small.shape[0],
    }
