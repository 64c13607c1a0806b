"""`saccade explore`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from saccade.cli.output import print_json, print_line, print_notes, print_table, print_unreadable
from saccade.cli.reading_options import with_reading_options
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.own_folders import MARK
from saccade.errors import DataError
from saccade.image_fit import Fit
from saccade.output_folders import make_folder, numbered, require_free
from saccade.sanitize import command_line, counted

if TYPE_CHECKING:
    from saccade.data.explore import Exploration

_MAX_CLASSES = 30


@click.command("explore")
@click.argument("data")
@click.option("--out", type=click.Path(path_type=Path), help="Output directory of the plots. Default: explore-<name>.")
@click.option("--image-size", type=int, help="Side in pixels of the square images. Default: chosen from the data.")
@click.option(
    "--fit",
    type=click.Choice(get_args(Fit)),
    help="Images of another aspect ratio: the center, the whole image with white edges, or another aspect ratio. "
    "Default: pad above 64 pixels, else crop.",
)
@click.option(
    "--write-labels", metavar="FILE", type=click.Path(path_type=Path),
    help="Write the path, label and split of each image into this CSV file.",
)  # fmt: skip
@with_reading_options
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(
    data: str,
    out: Path | None,
    image_size: int | None,
    fit: Fit | None,
    write_labels: Path | None,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    """Show class counts, image sizes, unreadable files and duplicates of DATA, and plot sample images."""
    from saccade.data.explore import explore, save_plots
    from saccade.data.load import load
    from saccade.data.write_labels import names_changed_by_label_file, require_no_file
    from saccade.data.write_labels import write_labels as write_label_file

    require_free(out, DataError, plural="folders")
    if write_labels is not None:
        require_no_file(write_labels)
    dataset = load(data, image_size=image_size, fit=fit, reading=reading, progress=True)
    exploration = explore(dataset)
    plots = [str(path) for path in save_plots(dataset, exploration, _make_folder(out, dataset.name))]
    if write_labels is not None:
        root = write_label_file(dataset, write_labels)
        changed = names_changed_by_label_file(dataset)
        if changed:
            print_notes([f"names of classes are read from a label file without spaces at their ends: {changed}"])
        if root != write_labels.absolute().parent:
            print_notes([f"to read {write_labels}: {command_line('train', write_labels, '--root', root)}"])
    if as_json:
        print_json({**exploration.to_dict(), "plots": plots})
        return
    _print(exploration)
    print_line(f"\nwritten: {', '.join([*plots, *([str(write_labels)] if write_labels else [])])}")


def _make_folder(out: Path | None, name: str) -> Path:
    """Make the folder for the plots: `out`, or the first free one of `explore-<name>` and `explore-<name>-<n>`."""
    stem = "explore-" + re.sub(r"[^\w.-]+", "-", name)
    folder = make_folder(out, chain([Path(stem)], numbered(Path(), f"{stem}-", first=2)), DataError)
    (folder / MARK).touch()  # where it lies within the data, its images are none of the data's
    return folder


def _print(exploration: Exploration) -> None:
    height, width = exploration.image_size
    print_line(f"{exploration.name} ({exploration.source})")
    fit = "" if exploration.fit == "crop" else f" by fit={exploration.fit}"
    print_line(f"{len(exploration.class_names)} classes; images are resized to {height} x {width} pixels{fit}\n")
    _print_counts(exploration)
    _print_summary(exploration)
    _print_unreadable(exploration)
    print_notes(exploration.notes)


def _print_counts(exploration: Exploration) -> None:
    splits = list(exploration.counts)
    names = exploration.class_names
    rows = [[name, *(f"{exploration.counts[split][name]:,}" for split in splits)] for name in names[:_MAX_CLASSES]]
    if len(names) > _MAX_CLASSES:
        rows.append([f"and {len(names) - _MAX_CLASSES} more", *("" for _ in splits)])
    totals = [f"{sum(exploration.counts[split].values()):,}" for split in splits]
    print_table(["class", *splits], [*rows, ["all", *totals]])


def _print_summary(exploration: Exploration) -> None:
    sizes = exploration.sizes
    most_common_height, most_common_width, images = sizes.most_common[0]
    within = ", ".join(f"{count:,} in {split}" for split, count in exploration.duplicates_within.items())
    print_line(
        f"\nsizes: {sizes.different:,} different, from {_size(sizes.smallest)} to {_size(sizes.largest)}; "
        f"{counted(images, 'image')} of {most_common_height} x {most_common_width}"
    )
    print_line(f"modes: {_counts(exploration.modes)}")
    print_line(f"formats: {_counts(exploration.formats)}")
    print_line(f"exact duplicates: {within}; {counted(exploration.duplicates_across, 'image')} in more than one split")
    print_line(f"mean of red, green, blue (0 to 255): {_channels(exploration.mean)}")
    print_line(f"standard deviation: {_channels(exploration.standard_deviation)}")


def _print_unreadable(exploration: Exploration) -> None:
    print_line(f"unreadable files: {len(exploration.unreadable):,}")
    print_unreadable(exploration.unreadable, "--json lists them all")


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())


def _channels(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
