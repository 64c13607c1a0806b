"""The files of which the page consists, and where they are served."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "page"

# From the path to the file and its kind. There is nothing secret in them: they are given without a token.
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/answers.js": ("answers.js", "text/javascript"),
    "/camera.js": ("camera.js", "text/javascript"),
    "/elements.js": ("elements.js", "text/javascript"),
    "/map.js": ("map.js", "text/javascript"),
    "/models.js": ("models.js", "text/javascript"),
    "/numbers.js": ("numbers.js", "text/javascript"),
    "/server.js": ("server.js", "text/javascript"),
}
