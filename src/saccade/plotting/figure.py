"""Figures without the global state of Matplotlib, and their files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Create an empty figure of a size in inches, with constrained layout."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path, *, dpi: int = 100) -> None:
    """Write a figure as a PNG with `dpi` dots per inch."""
    with warnings.catch_warnings():
        # Glyphs that the font lacks are drawn as boxes; a user can't change the font.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        # One layout instead of two: `savefig` would compute the layout again and draw the figure twice.
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")
        figure.savefig(path, format="png", dpi=dpi)
