"""`saccade cache`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from saccade.cli.output import print_json, print_line, print_table
from saccade.sanitize import counted

if TYPE_CHECKING:
    from saccade.data.cache.disk_cache import CacheEntry

_ALL = "*"


@click.command("cache")
@click.option(
    "--clear",
    is_flag=False,
    flag_value=_ALL,
    metavar="[NAME]",
    help="Remove all entries, or only those of one dataset or one kind (columns name and kind).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON.")
def command(clear: str | None, as_json: bool) -> None:
    """List or clear the cache.

    A row of the list has all entries of one dataset and one kind. Saccade can make or download every cached file again.
    """
    from saccade.data.cache.disk_cache import cache_entries, cache_folder, cache_limit, clear_cache

    removed = clear_cache(None if clear == _ALL else clear) if clear is not None else []
    entries = cache_entries()
    if as_json:
        listed = [_as_dict(entry) for entry in entries]
        summary = {"folder": str(cache_folder()), "limit": cache_limit(), "entries": listed}
        print_json(summary | {"removed": [_as_dict(entry) for entry in removed]})
    elif clear is not None:
        print_line(
            f"removed {counted(len(removed), 'entry', 'entries')}, {_megabytes(_total(removed))}; {len(entries)} left"
        )
    else:
        _print(entries)
        print_line(f"{_megabytes(_total(entries))} of at most {_megabytes(cache_limit())} in {cache_folder()}")


def _print(entries: Sequence[CacheEntry]) -> None:
    """Print a row for each dataset and kind, the most recently used first, as the entries are."""
    if not entries:
        print_line("the cache is empty")
        return
    # Several entries of one dataset have one name and one kind, such as the features in parts of 1,024 images.
    groups: dict[tuple[str, str], list[CacheEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.name, entry.kind), []).append(entry)
    rows = [
        (name, kind, f"{len(group):,}", _megabytes(_total(group)), f"{group[0].last_used.astimezone():%Y-%m-%d %H:%M}")
        for (name, kind), group in groups.items()
    ]
    print_table(("name", "kind", "entries", "size", "last used"), rows)


def _as_dict(entry: CacheEntry) -> dict[str, Any]:
    return {**asdict(entry), "last_used": entry.last_used.isoformat(), "path": str(entry.path)}


def _total(entries: Sequence[CacheEntry]) -> int:
    return sum(entry.bytes for entry in entries)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
