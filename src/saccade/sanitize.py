"""Text from files and folders, made safe to show: no terminal obeys it, and no line of it is broken."""

from __future__ import annotations

import shlex


def command_line(*words: object) -> str:
    """Return the `saccade` command of these words, such as a command and paths, quoted to be copied into a shell."""
    return shlex.join(["saccade", *map(str, words)])


def shortened(text: str, width: int) -> str:
    """Shorten text in its middle, with an ellipsis, to at most `width` characters (1 or more)."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return text[: width - 1 - end] + "…" + text[len(text) - end :]


def plural(number: int, one: str, many: str | None = None) -> str:
    """The noun that goes with a number: "image" with 1, else "images"; `many` where that is not `one` with an s."""
    return one if number == 1 else many or f"{one}s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 image", "1,200 images"."""
    return f"{number:,} {plural(number, one, many)}"


def printable(text: str, *, lines: bool = False) -> str:
    r"""The text with whatever can't be printed written as codes, such as `\x1b` for the escape character.

    That goes for control characters, for marks that turn the direction of writing, and for bytes that are no text.

    Args:
        text: from a file's name, say.
        lines: whether the text has lines of its own, which are kept.
    """
    if text.isprintable():
        return text
    return "".join(letter if _harmless(letter, lines) else _code(letter) for letter in text)


def printable_json(text: str) -> str:
    """JSON in which the same is written as JSON's own codes, so that a program reads what was there."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(letter if _harmless(letter, lines=True) else _json_code(letter) for letter in text)


def _harmless(letter: str, lines: bool) -> bool:
    return letter.isprintable() or (lines and letter == "\n")


def _code(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def _json_code(letter: str) -> str:
    if ord(letter) < 0x10000:
        return f"\\u{ord(letter):04x}"
    pair = letter.encode("utf-16-be")
    return "".join(f"\\u{pair[i]:02x}{pair[i + 1]:02x}" for i in (0, 2))
