"""From values to an HTML page, and from arrays to what its images are drawn from."""

from __future__ import annotations

import base64
import functools
import io
from typing import Any

import matplotlib
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from saccade.sanitize import counted, printable

# Of images of 32x32 this takes a third of what PNG takes, and no difference can be seen.
_QUALITY = 90


def render(template: str, **values: Any) -> str:
    """Fills in a template of this folder.

    Args:
        template: its file name, such as "report.html"; it extends "page.html".
        values: what its names stand for. Text is escaped, and a name that is missing is an error.
    """
    return _templates().get_template(template).render(values)


def image_source(pixels: NDArray[np.uint8]) -> str:
    """An image, uint8 [height, width, 3], as the address of an `img` element that holds all of it (WebP)."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def figure_markup(figure: Figure, description: str) -> Markup:
    """A drawing as SVG that stands in the page; what is black in it takes the page's text color.

    Args:
        figure: matplotlib's.
        description: what it shows, for those who can't see it.
    """
    for axes in figure.axes:
        if (legend := axes.get_legend()) is not None:
            legend.set_frame_on(False)  # its white would stay white on a dark page
    stream = io.StringIO()
    # Text stays text, which a page can color and a screen reader read. Without a date and with fixed names, equal
    # figures give equal pages.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "saccade"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")
    label = Markup.escape(description)
    opening, rest = svg.split(">", 1)
    return Markup(f'{opening} role="img" aria-label="{label}">{rest}')  # noqa: S704 - drawn by matplotlib, escaped above


@functools.cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("saccade.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    environment.filters["counted"] = counted
    environment.filters["percent"] = lambda fraction, digits=1: f"{fraction:.{digits}%}"
    environment.filters["count"] = lambda number: f"{number:,}"
    return environment
