"""Rendering of HTML pages from templates, with images and figures inside."""

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

# For images of 32x32 pixels the files have a third of the size of PNG files, without a visible difference.
_QUALITY = 90


def render(template: str, **values: Any) -> str:
    """Render a template of the folder `templates`.

    Args:
        template: file name of the template, such as "report.html".
        values: values of the template's variables. Text is escaped; a missing variable is an error.
    """
    return _templates().get_template(template).render(values)


def image_source(pixels: NDArray[np.uint8]) -> str:
    """Return an image, uint8 [height, width, 3], as a data URL in WebP format."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", quality=_QUALITY, method=4)
    return image_data(stream.getvalue())


def thumbnail(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return an image, uint8 [height, width, 3], reduced to at most `side` pixels on each side."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return np.asarray(image)


def image_data(contents: bytes) -> str:
    """Return the contents of a file in WebP format as a data URL."""
    return f"data:image/webp;base64,{base64.b64encode(contents).decode()}"


def figure_markup(figure: Figure, description: str) -> Markup:
    """Return a figure as inline SVG; black elements have the text color of the page.

    Args:
        figure: Matplotlib figure.
        description: alternative text of the figure, for screen readers.
    """
    for axes in figure.axes:
        if (legend := axes.get_legend()) is not None:
            legend.set_frame_on(False)  # the white frame would stay white on a dark page
    stream = io.StringIO()
    # Text stays text, for the colors of the page and for screen readers. Without a date and with a fixed salt of the
    # element names, equal figures give equal pages.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "saccade"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")
    label = Markup.escape(description)
    opening, rest = svg.split(">", 1)
    return Markup(f'{opening} role="img" aria-label="{label}">{rest}')  # noqa: S704 - SVG by Matplotlib, description escaped above


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
