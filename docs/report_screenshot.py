"""Screenshot of a report for README and docs/index.md: its head above its confusion matrix, as Chromium shows them.

    python -m docs.report_screenshot RUN [--out docs/report.png]

Run this by hand after a change of the report. `docs/report.png` shows a run on the clothing photographs of
github.com/alexeygrigorev/clothing-dataset-small (CC0), trained by
`saccade train clothing --recipe fast --set image_size=64 --epochs 10`.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import click
from PIL import Image
from selenium.webdriver.common.by import By
from tests.browser import opened

import saccade

DOCS = Path(__file__).parent
WIDTH = 1000
SECTIONS = (("h1", 400), ("#confusion", 830))
"""Sections of the page: CSS selector of the first element, and height in pixels."""
WINDOW_HEIGHT = 3000
MARGIN = 16
COLORS = 160


@click.command(help=__doc__)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=DOCS / "report.png", help="PNG to write.")
def main(run: Path, out: Path) -> None:
    """Write the report of a run, and the screenshot of its sections with few colors, for a small file."""
    sections = take_screenshots(saccade.report(run).page)
    screenshot = Image.new("RGB", (WIDTH, sum(section.height for section in sections)))
    top = 0
    for section in sections:
        screenshot.paste(section, (0, top))
        top += section.height
    screenshot.quantize(COLORS, dither=Image.Dither.NONE).save(out, optimize=True)
    click.echo(f"written: {out}, {out.stat().st_size / 1e3:.0f} kB")


def take_screenshots(page: Path) -> list[Image.Image]:
    """Return an image of each section of a page, `WIDTH` pixels wide."""
    with tempfile.TemporaryDirectory() as profile, opened(page, profile, size=(WIDTH, WINDOW_HEIGHT)) as browser:
        browser.execute_script("document.documentElement.style.overflow = 'hidden'")  # no scroll bar
        tops = [browser.find_element(By.CSS_SELECTOR, name).location["y"] - MARGIN for name, _ in SECTIONS]
        with Image.open(io.BytesIO(browser.get_screenshot_as_png())) as image:
            window = image.convert("RGB")
    return [window.crop((0, top, WIDTH, top + height)) for top, (_, height) in zip(tops, SECTIONS, strict=True)]


if __name__ == "__main__":
    main()
