"""What all drawings have in common: figures without Matplotlib's global state, and how they are written."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that arranges its parts itself."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path, *, dpi: int = 100) -> None:
    """Writes the figure as a PNG of so many dots an inch."""
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; nothing that its user could act on.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        # Matplotlib would arrange the parts twice, and draw all of it once more for that.
        if (arrange := figure.get_layout_engine()) is not None:
            arrange.execute(figure)
            figure.set_layout_engine("none")
        figure.savefig(path, format="png", dpi=dpi)
