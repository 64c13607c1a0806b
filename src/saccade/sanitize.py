"""Text that is safe to print: without secrets, and without control characters that a terminal interprets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_MAX_NAMES = 10  # in a list
# A user or a password in front of the host of an address, and values that sign an address of an object store.
_PASSWORD = re.compile(r"(?<=://)[^/\s\"'@]+@")
_SIGNATURE = re.compile(
    r"(?<=[?&])((?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|Signature|sig|token)=)[^&\s\"']+",
    re.IGNORECASE,
)
_HIDDEN = "***"


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
    """Return the form of a noun for a number: "image" for 1, else "images", or `many` where the plural is irregular."""
    return one if number == 1 else many or f"{one}s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: "1 image", "1,200 images"."""
    return f"{number:,} {plural(number, one, many)}"


def duration_in_words(seconds: float) -> str:
    """Return a duration that is known roughly: "40 seconds", "12 minutes", "1.5 hours"."""
    if seconds < 90:
        return counted(max(1, round(seconds)), "second")
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def listed_names(names: Sequence[str]) -> str:
    """Return up to ten names, printable and separated by commas, and the number of the others."""
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(map(printable, names[:_MAX_NAMES])) + more


def printable(text: str, *, lines: bool = False) -> str:
    r"""Escape unprintable characters of a text as codes, such as `\x1b` for the escape character.

    Unprintable are control characters, marks that change the direction of writing, and bytes that are no text. The
    user, the password and the signature of an address become asterisks.

    Args:
        text: text of unknown origin, such as the name of a file.
        lines: whether line breaks of the text are kept.
    """
    text = without_secrets(text)
    if text.isprintable():
        return text
    return "".join(letter if _harmless(letter, lines) else _code(letter) for letter in text)


def printable_json(text: str) -> str:
    """Escape unprintable characters of a JSON text as codes of JSON: a program reads the original characters.

    The user, the password and the signature of an address become asterisks.
    """
    text = without_secrets(text)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(letter if _harmless(letter, lines=True) else _json_code(letter) for letter in text)


def without_secrets(text: str) -> str:
    """Replace the user, the password and the signature of each address in a text by asterisks."""
    if "://" not in text:
        return text
    return _SIGNATURE.sub(rf"\1{_HIDDEN}", _PASSWORD.sub(f"{_HIDDEN}@", text))


def _harmless(letter: str, lines: bool) -> bool:
    return letter.isprintable() or (lines and letter == "\n")


def _code(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def _json_code(letter: str) -> str:
    if ord(letter) < 0x10000:
        return f"\\u{ord(letter):04x}"
    pair = letter.encode("utf-16-be")
    return "".join(f"\\u{pair[i]:02x}{pair[i + 1]:02x}" for i in (0, 2))
