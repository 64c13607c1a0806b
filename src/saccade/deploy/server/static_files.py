"""The files of which the page consists, and where they are served."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "static"

# From the path to the file and its kind. There is nothing secret in them: they are given without a token.
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/results.js": ("results.js", "text/javascript"),
    "/camera.js": ("camera.js", "text/javascript"),
    "/dom.js": ("dom.js", "text/javascript"),
    "/heatmap.js": ("heatmap.js", "text/javascript"),
    "/models.js": ("models.js", "text/javascript"),
    "/format.js": ("format.js", "text/javascript"),
    "/api.js": ("api.js", "text/javascript"),
}
