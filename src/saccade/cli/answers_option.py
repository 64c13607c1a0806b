"""The option `--answers` of the commands that ask a person."""

from __future__ import annotations

from pathlib import Path

import click

answers_option = click.option(
    "--answers", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
    help="A person's answers: a table with columns for image and label, or Label Studio's JSON. May be repeated.",
)  # fmt: skip
