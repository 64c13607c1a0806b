"""Screenshot of a report for README and docs/index.md: the head of `report.html`, as Chromium shows it.

    python docs/report_screenshot.py RUN [--out docs/report.png]

Run this by hand after a change of the report. `docs/report.png` shows a run on the clothing photographs of
github.com/alexeygrigorev/clothing-dataset-small (CC0), trained by `saccade train clothing --minutes 5`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import click
from PIL import Image

import saccade

DOCS = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT = 1100, 900
COLORS = 128


@click.command(help=__doc__)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=DOCS / "report.png", help="PNG to write.")
@click.option("--height", default=HEIGHT, show_default=True, help="Height of the screenshot, in pixels.")
def main(run: Path, out: Path, height: int) -> None:
    """Write the report of a run, take the screenshot and reduce its colors, for a small file."""
    page = saccade.report(run).page
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder) / "taken.png"
        take_screenshot(page, taken, height)
        with Image.open(taken) as image:
            image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(out, optimize=True)
    click.echo(f"written: {out}, {out.stat().st_size / 1e3:.0f} kB")


def take_screenshot(page: Path, out: Path, height: int) -> None:
    """Write the first `height` pixels of an HTML file as a PNG.

    Raises:
        click.ClickException: there is no Chromium.
    """
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise click.ClickException(f"none of {', '.join(BROWSERS)} is installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{height}"]
    command = [browser, *options, f"--screenshot={out}", page.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603


if __name__ == "__main__":
    main()
