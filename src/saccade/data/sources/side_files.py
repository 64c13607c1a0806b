"""Tells candidate images from what lies beside them, by names alone."""

from __future__ import annotations

_SIDE_SUFFIXES = frozenset(
    {"cfg", "csv", "db", "htm", "html", "ini", "json", "jsonl", "lock", "log", "mat", "md", "npy", "npz", "py", "rst"}
    | {"tsv", "txt", "xml", "yaml", "yml"}
)
_SIDE_NAMES = frozenset({"authors", "changelog", "copying", "license", "licence", "makefile", "notice", "readme"})
_HIDDEN_NAMES = frozenset({"__macosx", "desktop.ini", "thumbs.db"})


def is_hidden(name: str) -> bool:
    """Whether systems keep their own notes under this name."""
    return name.startswith(".") or name.lower() in _HIDDEN_NAMES


def suffix_of(path: str) -> str:
    """What follows the last full stop of a file's name, in lower case; empty where there is none."""
    return path.rpartition("/")[2].rpartition(".")[2].lower() if "." in path else ""


def is_side_file(path: str) -> bool:
    """Whether a file's name says that it accompanies images without being one."""
    return suffix_of(path) in _SIDE_SUFFIXES or path.rpartition("/")[2].partition(".")[0].lower() in _SIDE_NAMES
