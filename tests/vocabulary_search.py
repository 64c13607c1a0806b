"""Search for the words of `tests/vocabulary.py` in all files of the repository, without starting Git."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.vocabulary import OLD_MODULES, OLD_NAMES, WORDS, Word

FOLDERS = ("benchmarks", "docs", "src", "tests")
TOP_FILES = ("CHANGELOG.md", "Makefile", "README.md", "mkdocs.yml", "pyproject.toml")
SUFFIXES = {".css", ".csv", ".html", ".ipynb", ".js", ".md", ".py", ".toml", ".txt", ".yml"}
OWN_FILES = (
    "tests/test_vocabulary.py",
    "tests/vocabulary.py",
    "tests/vocabulary_exceptions.csv",
    "tests/vocabulary_search.py",
)


@dataclass(frozen=True)
class Segment:
    """A piece of a file: its text in lower case, its kind ("code", "prose" or "raw") and the line of its start."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Use:
    """A use of a word: file, line, name of the word, the field's word, and the segment with the place in it."""

    path: str
    line: int
    word: str
    instead: str
    segment: Segment
    span: tuple[int, int]

    def __str__(self) -> str:
        start, end = self.span
        around = " ".join(self.segment.text[max(0, start - 40) : end + 40].split())
        return f"{self.path}:{self.line}: {self.word} -> {self.instead}: {around}"


def searched_files(root: Path) -> list[Path]:
    """All files of the repository that are searched, in order."""
    found = [root / name for name in TOP_FILES]
    for folder in FOLDERS:
        found += [path for path in (root / folder).rglob("*") if path.suffix in SUFFIXES and path.is_file()]
    own = {root / name for name in OWN_FILES}
    return sorted(path for path in found if path not in own and not any(p.startswith(".") for p in path.parts))


def uses(root: Path, paths: Iterable[Path]) -> Iterator[Use]:
    """All uses of the words and old names in files, exceptions included."""
    for path in paths:
        name = path.relative_to(root).as_posix()
        names = (Segment("code", spaced(path.stem.replace("-", "_")), 0), Segment("raw", name, 0))
        for segment in (*names, *segments(path.suffix, path.read_text(encoding="utf-8"))):
            for word, instead, span in _found(segment):
                line = segment.line + segment.text.count("\n", 0, span[0])
                yield Use(name, line, word, instead, segment, span)


def spaced(text: str) -> str:
    """Text in lower case, lines without indentation, with the words of its identifiers separated by blanks."""
    flush = re.sub(r"[ \t]*\n[ \t]*", "\n", text)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", flush).replace("_", " ").lower()


_STRING = (
    r"""[rbfu]{0,2}(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
)
_JOINT = re.compile(r"\"?[ \t]*\n[ \t]*(?:#|//|[rbfu]{0,2}\"(?!\"\"))")
_PROSE = {
    ".py": re.compile(rf"(?:#[^\n]*\n[ \t]*)*#[^\n]*|(?:{_STRING}\s*)+|\bdef test_\w+", re.IGNORECASE | re.DOTALL),
    ".js": re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`', re.DOTALL),
}


def segments(suffix: str, text: str) -> Iterator[Segment]:
    """A file's text as it stands, then its code and its prose, each with comments and strings that follow joined."""
    yield Segment("raw", text.lower(), 1)
    if suffix not in _PROSE:
        yield Segment("prose", spaced(text), 1)
        return
    position, line = 0, 1
    for match in _PROSE[suffix].finditer(text):
        code = text[position : match.start()]
        if not code.isspace():
            yield Segment("code", spaced(code), line)
        line += code.count("\n")
        prose = match[0]
        yield Segment("prose", spaced(_JOINT.sub("\n", prose)), line)
        line += prose.count("\n")
        position = match.end()
    yield Segment("code", spaced(text[position:]), line)


@cache
def _patterns() -> list[tuple[Word, re.Pattern[str], re.Pattern[str]]]:
    """The patterns of the words; a blank in a pattern is any one white space, the end of a line too."""
    return [
        (word, re.compile(word.code.replace(" ", r"\s")), re.compile(word.prose.replace(" ", r"\s"))) for word in WORDS
    ]


@cache
def _old_names() -> list[tuple[str, str, str, re.Pattern[str]]]:
    """A text that is in each use, the name of the word, what it is called now, and the pattern."""
    names = [
        (low, low, instead, re.compile(rf"(?<![\w-]){re.escape(low)}(?!\w)"))
        for low, instead in ((name.lower(), instead) for name, instead in OLD_NAMES.items())
    ]
    modules = [
        (module, f"{package}/{module}", "the module's new name", re.compile(rf"\b{package}[./]{module}(?![\w(])"))
        for package, listed in OLD_MODULES.items()
        for module in listed.split()
    ]
    return names + modules


def _found(segment: Segment) -> Iterator[tuple[str, str, tuple[int, int]]]:
    if segment.kind == "raw":
        for stem, name, instead, pattern in _old_names():
            if stem in segment.text:
                for match in pattern.finditer(segment.text):
                    yield name, instead, match.span()
        return
    for word, code, prose in _patterns():
        if any(stem in segment.text for stem in word.stems):
            for match in (code if segment.kind == "code" else prose).finditer(segment.text):
                yield word.name, word.instead, match.span()
